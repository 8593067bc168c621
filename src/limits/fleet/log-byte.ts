/** Rates and ages as one byte, in steps of a fixed ratio: what is sent ten times a second must be small, and need not be exact. */
export interface LogScale {
  /** 0 for what is at or below half the smallest step; 255 for all that is larger than the scale. */
  encode(value: number): number;
  decode(byte: number): number;
}

function logScale(smallest: number, ratio: number): LogScale {
  const values = Float64Array.from({ length: 256 }, (_, byte) => (byte === 0 ? 0 : smallest * ratio ** (byte - 1)));
  const perStep = 1 / Math.log(ratio);
  return {
    encode: (value) =>
      value <= smallest / 2 ? 0 : Math.min(255, Math.max(1, Math.round(Math.log(value / smallest) * perStep) + 1)),
    decode: (byte) => values[byte] as number,
  };
}

/** Units a second, 0.01 to 32 million, ±4.4 %. */
export const rateScale: LogScale = logScale(0.01, 1.09);
/** Milliseconds, 1 to 40 min, ±3 %. */
export const ageScale: LogScale = logScale(1, 1.06);
