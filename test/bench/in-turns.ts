/** Runs several measurements one after the other, round after round, so that what the machine does falls on all. */
export async function inTurns<T extends Readonly<Record<string, () => Promise<unknown>>>>(
  rounds: number,
  measurements: T,
): Promise<{ readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }[]> {
  const results: { [K in keyof T]: Awaited<ReturnType<T[K]>> }[] = [];
  for (let round = 0; round < rounds; round++) {
    const result: Partial<Record<keyof T, unknown>> = {};
    for (const name of Object.keys(measurements) as (keyof T)[]) {
      result[name] = await (measurements[name] as () => Promise<unknown>)();
    }
    results.push(result as { [K in keyof T]: Awaited<ReturnType<T[K]>> });
  }
  return results;
}
