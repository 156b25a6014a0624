import { type ServiceError, status } from '@grpc/grpc-js';
import type { LatchkeyClient, WatchMessage } from './latchkey-client.js';

/** What a {@link RevocationFeed} tells. */
export interface RevocationListener {
  /** This key is dead. */
  revoked(keyId: string): void;
  /**
   * The feed has begun, or begun again after a pause: check every key that is held. What happens from now on is told,
   * so that nothing falls between.
   */
  begun(): void;
}

/** A watch that has been silent for this long, ms, is dead: heartbeats come every five seconds. */
const SILENCE_MAX_MS = 12_000;
const BACKOFF_MS = { first: 100, most: 2_000 } as const;
const FROM_NOW_ON = '0';

/**
 * Follows `WatchRevocations` for ever: resumes after the last sequence, begins anew where that is no longer possible, and
 * notices a connection that is only silent.
 */
export class RevocationFeed {
  private after = FROM_NOW_ON;
  private running = false;
  private closed = false;
  private failures = 0;
  private cancel: () => void = () => {};
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly client: LatchkeyClient,
    private readonly listener: RevocationListener,
  ) {}

  /** Whether revocations are being heard of. While not, an open connection must be sent nothing of its own accord. */
  get up(): boolean {
    return this.running;
  }

  /** Begins. {@link RevocationListener.begun} tells when the first message is here. */
  open(): void {
    const call = this.client.watchRevocations({ after_sequence: this.after });
    let over = false;
    const end = (error?: ServiceError): void => {
      if (over) return;
      over = true;
      this.running = false;
      clearTimeout(this.timer);
      if (this.closed) return;
      if (error?.code === status.OUT_OF_RANGE) this.after = FROM_NOW_ON;
      // Jitter, so that the gateways of a fleet do not return together.
      const backoff = Math.min(BACKOFF_MS.first * 2 ** this.failures++, BACKOFF_MS.most) * (0.5 + Math.random() / 2);
      this.timer = setTimeout(() => this.open(), backoff);
    };
    const expectMore = (): void => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        call.cancel();
        end();
      }, SILENCE_MAX_MS);
    };
    this.cancel = () => call.cancel();
    expectMore();
    call.on('data', (message: WatchMessage) => {
      if (over) return;
      expectMore();
      this.after = message.sequence;
      if (message.revocation !== undefined) this.listener.revoked(message.revocation.key_id);
      if (this.running) return;
      this.running = true;
      this.failures = 0;
      this.listener.begun();
    });
    call.on('error', end);
    call.on('end', () => end());
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.cancel();
  }
}
