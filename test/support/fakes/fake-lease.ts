import { type Lease, type LeaseToken, NO_LEASE } from '../../../src/ports/lease.js';

/** A lease granted and lost by hand; each grant has a token of its own. Begins without one. */
export class FakeLease implements Lease {
  private token: LeaseToken = NO_LEASE;
  private tokenOnLoss: LeaseToken = NO_LEASE;
  private granted = 0;

  held(): LeaseToken {
    return this.token;
  }

  heldAt(): LeaseToken {
    return this.token;
  }

  heldOnLoss(): LeaseToken {
    return this.token === NO_LEASE ? this.tokenOnLoss : this.token;
  }

  grant(): this {
    this.token = ++this.granted;
    this.tokenOnLoss = NO_LEASE;
    return this;
  }

  /** @param servedOnLoss whether answers from memory are still allowed while the database is out of reach */
  lose(servedOnLoss = false): void {
    this.tokenOnLoss = servedOnLoss ? this.granted : NO_LEASE;
    this.token = NO_LEASE;
  }
}
