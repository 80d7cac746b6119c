"""Drills of deaths, full disks and damaged files, with real processes, the real engine and a separate home folder."""
