// The live panel's payload once its columns are unpacked.

import type { Before, EpochColumns, Heat, Heats, Inside, Lane as Sent, Payload, Race as SentRace, Replay, StepColumns } from "./payload";

export type Values = (number | null)[];
export type Evaluation = Record<keyof EpochColumns, number | null>;
export type Lane = Omit<Sent, "steps" | "epochs"> & { steps: Record<keyof StepColumns, Values>; epochs: Evaluation[] };
export type Race = Omit<SentRace, "lanes"> & { lanes: Lane[]; ghosts: Lane[]; before?: Before | null; heat?: Heat | null; replay?: Replay; heats?: Heats | null; inside?: Inside | null };
export type Axis = keyof Payload["ends"];
