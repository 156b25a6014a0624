import type { ListenAddress } from '../../config.js';
import { answered } from './answered.js';

/** Reports whether a sidecar answers `/livez` on its metrics address: the listeners are then in use as they should be. */
export async function sidecarRuns(metrics: ListenAddress | null): Promise<boolean> {
  if (metrics?.kind !== 'tcp') return false;
  const host = metrics.host === '0.0.0.0' ? '127.0.0.1' : metrics.text.slice(0, metrics.text.lastIndexOf(':'));
  try {
    const response = await answered(fetch(`http://${host}:${metrics.port}/livez`));
    return response.ok;
  } catch {
    return false;
  }
}
