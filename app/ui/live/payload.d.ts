// Made by `python -m tests.payload_declarations`.

import type { Floats, LaneStyle, Pixels } from "../wire_types";

export interface Status {
  word: string;
  detail: string;
}

export interface Phase {
  name: string;
  title: string;
  color: string;
}

export interface Stage {
  name: string;
  share: number;
  ascent: number;
  kind: "once" | "twice" | "light" | "part";
  words: string;
}

export interface Strip {
  every: number;
  stages: Stage[];
}

export interface Layer {
  name: string;
  shape: number[];
}

export interface StepColumns {
  step: Floats;
  epoch: Floats;
  gradients: Floats;
  seconds: Floats;
  loss: Floats;
  grad_norm: Floats;
  radius: Floats;
  ascent_gap: Floats;
  perturbed_norm: Floats;
}

export interface EpochColumns {
  epoch: Floats;
  step: Floats;
  gradients: Floats;
  seconds: Floats;
  train_loss: Floats;
  test_loss: Floats;
  test_accuracy: Floats;
  test_size: Floats;
  final: Floats;
  eigenvalue: Floats;
  eigenvalue_residual: Floats;
  low: Floats;
  high: Floats;
  validation_accuracy?: Floats;
}

export interface Lane {
  title: string;
  color: string;
  dash: string;
  symbol: string;
  hollow: boolean;
  path: string;
  dashes: number[];
  name: string;
  state: "waiting" | "running" | "finished" | "diverged";
  points: number;
  steps: StepColumns;
  epochs: EpochColumns;
  phases: Record<string, number>;
  stepMs: number | null;
  ratio: number | null;
  ratioIqr: [number, number] | null;
  lastStep: number;
  totalSteps: number | null;
  seconds: number;
  settings: string;
  perturbs: boolean;
  rho: number | null;
  radius: number | null;
  masked: boolean;
  counted: number | null;
  strip: Strip | null;
}

export interface Eigenvalues {
  ms: number | null;
  share: number | null;
}

export interface Ends {
  epoch: number | null;
  gradients: number | null;
  seconds: number | null;
}

export interface Race {
  run: string;
  state: string;
  status: Status;
  failed: string;
  progress: number;
  notes: string[];
  testSize: number | null;
  epochs: number | null;
  ends: Ends;
  stepsPerEpoch: number | null;
  eigenvalues: Eigenvalues | null;
  heights: Record<string, number>;
  validation: string;
  lanes: Lane[];
  layers: Layer[];
  phases: Phase[];
  texts: Record<string, string[]>;
  curveTexts: Record<string, string[]>;
}

export interface MaskPicture {
  step: number;
  epoch: number;
  density: number;
  changed: number | null;
  overlap: number | null;
  rows: number;
  columns: number;
  pixels: Pixels;
}

export interface Heat {
  layer: string;
  epochs: number[];
  epoch: number | null;
  maps: Record<string, MaskPicture>;
}

export interface Heats {
  layer: string;
  epochs: number[];
  maps: Record<string, MaskPicture[]>;
}

export interface Replay {
  label: string;
  about: string;
  seconds: number;
}

export interface Before {
  version: string;
  words: string;
  lanes?: Lane[];
}

export interface Inside {
  base: string;
  weights: number[];
  latest: boolean;
  images: boolean;
}

export interface Pictures {
  heat?: Heat | null;
  replay?: Replay;
  heats?: Heats | null;
  before?: Before | null;
  inside?: Inside | null;
}

export interface Payload {
  run: string;
  state: string;
  status: Status;
  failed: string;
  progress: number;
  notes: string[];
  testSize: number | null;
  epochs: number | null;
  ends: Ends;
  stepsPerEpoch: number | null;
  eigenvalues: Eigenvalues | null;
  heights: Record<string, number>;
  validation: string;
  lanes: Lane[];
  layers: Layer[];
  phases: Phase[];
  texts: Record<string, string[]>;
  curveTexts: Record<string, string[]>;
  heat?: Heat | null;
  replay?: Replay;
  heats?: Heats | null;
  before?: Before | null;
  inside?: Inside | null;
}
