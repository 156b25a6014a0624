import type { FleetMeasured } from './measure.js';

/** What one sidecar costs PostgreSQL, fitted to the fleets that were measured. */
export interface Costs {
  /** CPU ms for each renewal: two statements, and the share of heartbeats and housekeeping that goes with it. */
  readonly cpuMsPerRenewal: number;
  /** CPU ms for each revocation whatever the fleet: the transaction itself, its looks at the rows. */
  readonly cpuMsPerRevocation: number;
  /** CPU ms for each sidecar that hears of a revocation, reads it and acknowledges it. */
  readonly cpuMsPerAcknowledgement: number;
}

/** What a fleet of some size costs, by calculation. */
export interface Calculated {
  readonly sidecars: number;
  readonly renewalsPerS: number;
  /** PostgreSQL cores for renewals alone. */
  readonly renewalCores: number;
  /** CPU ms of PostgreSQL for one revocation. */
  readonly cpuMsPerRevocation: number;
  /** Shortest time in which a server with so many free cores can hear all acknowledgements of one revocation, ms. */
  readonly barrierMsOn: Readonly<Record<'2' | '8' | '32', number>>;
  /** Direct connections: three for the lease and one that listens, of each. */
  readonly connections: number;
}

/** Renewals in one lease. */
const RENEWALS_PER_LEASE = 3;
const CONNECTIONS_EACH = 4;

/** Least squares of y = a + b x. */
function line(points: readonly (readonly [number, number])[]): { readonly a: number; readonly b: number } {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const b = spread === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  return { a: meanY - b * meanX, b };
}

/** Fits the costs to idle fleets: where the sidecars decide, CPU is contended and tells of the machine. */
export function calibrate(measured: readonly FleetMeasured[]): Costs {
  const idle = measured.filter(({ load }) => load === 0);
  const renewals = line(idle.map(({ renewalsPerS, calmCores }) => [renewalsPerS, calmCores * 1_000]));
  const revocations = line(idle.map(({ sidecars, cpuMsPerRevocation }) => [sidecars, cpuMsPerRevocation]));
  return {
    cpuMsPerRenewal: renewals.b,
    cpuMsPerRevocation: revocations.a,
    cpuMsPerAcknowledgement: revocations.b,
  };
}

/** Calculates a fleet from the costs; linear, so without what a crowded server adds. */
export function calculate(costs: Costs, sidecars: number, leaseMs: number): Calculated {
  const renewalsPerS = (sidecars * RENEWALS_PER_LEASE * 1_000) / leaseMs;
  const renewalCores = (renewalsPerS * costs.cpuMsPerRenewal) / 1_000;
  const cpuMsPerRevocation = costs.cpuMsPerRevocation + sidecars * costs.cpuMsPerAcknowledgement;
  const barrierMs = (cores: number) => cpuMsPerRevocation / Math.max(0, cores - renewalCores);
  return {
    sidecars,
    renewalsPerS,
    renewalCores,
    cpuMsPerRevocation,
    barrierMsOn: { 2: barrierMs(2), 8: barrierMs(8), 32: barrierMs(32) },
    connections: sidecars * CONNECTIONS_EACH,
  };
}
