/** Longest time, in seconds, that a key may live on beside its replacement: a week. */
export const OVERLAP_SECONDS_MAX = 604_800;
