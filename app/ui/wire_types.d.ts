// Made by `python -m tests.payload_declarations`.

export type Floats = string & { readonly wire: "Floats" };

export type Pixels = string & { readonly wire: "Pixels" };

export type Packed = string & { readonly wire: "Packed" };

export interface LaneStyle {
  title: string;
  color: string;
  dash: string;
  symbol: string;
  hollow: boolean;
  path: string;
  dashes: number[];
}
