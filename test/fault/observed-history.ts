/** A granted answer to a question that was asked after its key's revocation had been confirmed. */
export interface Violation {
  readonly keyIndex: number;
  readonly sidecar: string;
  readonly confirmedAtMs: number;
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

/** What became of the questions that were asked after a confirmed revocation. */
export interface Tally {
  /** Keys whose revocation was confirmed. */
  confirmed: number;
  /** Questions asked after the confirmation of their key's revocation. */
  asked: number;
  denied: number;
  /** No decision: the sidecar was down, paused past the deadline, or had neither lease nor database. */
  undecided: number;
  /** Questions on keys that were not revoked, and how many of them were granted: shows that caches were in use. */
  live: number;
  liveGranted: number;
  /** Answers `KEY_UNKNOWN` to questions asked after the key's creation was confirmed: breaks R2. */
  unknownAfterCreation: number;
}

/**
 * The checker: sees only what clients saw, the times of questions and answers on one clock.
 *
 * R1 is broken by a granted answer whose question started after the confirmation arrived. Nothing else is known of the
 * system under test: no log, no database, no metric.
 */
export class ObservedHistory {
  private readonly confirmedAtMs = new Map<number, number>();
  readonly violations: Violation[] = [];
  readonly tally: Tally = {
    confirmed: 0,
    asked: 0,
    denied: 0,
    undecided: 0,
    live: 0,
    liveGranted: 0,
    unknownAfterCreation: 0,
  };

  /** The revocation of a key was confirmed to its caller at this time. */
  confirmed(keyIndex: number, atMs: number): void {
    if (this.confirmedAtMs.has(keyIndex)) return;
    this.confirmedAtMs.set(keyIndex, atMs);
    this.tally.confirmed += 1;
  }

  /** A question was answered; `null`: with an error instead of a decision. */
  answered(
    keyIndex: number,
    sidecar: string,
    askedAtMs: number,
    answeredAtMs: number,
    answer: 'granted' | 'denied' | 'unknown' | null,
  ): void {
    const confirmedAtMs = this.confirmedAtMs.get(keyIndex);
    if (confirmedAtMs === undefined || askedAtMs <= confirmedAtMs) {
      this.tally.live += 1;
      if (answer === 'granted') this.tally.liveGranted += 1;
      if (answer === 'unknown') this.tally.unknownAfterCreation += 1;
      return;
    }
    this.tally.asked += 1;
    if (answer === null) this.tally.undecided += 1;
    else if (answer === 'granted') {
      this.violations.push({ keyIndex, sidecar, confirmedAtMs, askedAtMs, answeredAtMs });
    } else this.tally.denied += 1;
  }
}
