import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CancelTimer, Timers } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { RouteMatch, Routes } from './routes.js';
import { parseRoutes, RoutesError } from './routes-file.js';

/** How often, in ms, the file is read again although nothing said that it changed: some file systems tell nobody. */
export const ROUTES_POLL_MS = 5000;
/** How long, in ms, to let a burst of file events end before the file is read. */
const SETTLE_MS = 50;

/** What became of one changed routes file. */
export type RoutesReload = 'loaded' | 'refused';

export interface RoutesWatcherParts {
  readonly file: string;
  /** Knows every spelling of every method. */
  readonly methods: { find(name: string): unknown };
  readonly timers: Timers;
  readonly logger: Logger;
  /** Told once for every change of the file, for a counter. */
  readonly onReload?: (outcome: RoutesReload) => void;
}

/**
 * The routes of a file, replaced when the file changes.
 *
 * A request is matched against the old table or the new one, whole; there is never none. A new file that cannot be
 * read or used changes nothing: the old table stays, the problems are logged, and the reload is counted as refused
 * until the file is mended.
 *
 * The directory is watched, not the file, because editors and Kubernetes replace files and links rather than write to
 * them; polling covers file systems without notifications.
 */
export class RoutesWatcher implements Routes {
  private current: Routes;
  private seen: string;
  private watcher: FSWatcher | null = null;
  private cancelPoll: CancelTimer = () => {};
  private cancelSettle: CancelTimer = () => {};
  private reading: Promise<void> | null = null;
  private readAgain = false;
  private stopped = false;

  private constructor(
    private readonly parts: RoutesWatcherParts,
    text: string,
  ) {
    this.seen = text;
    this.current = parseRoutes(text, parts.file, parts.methods);
  }

  /**
   * Reads the file and begins to watch it.
   *
   * @throws RoutesError when the file cannot be read or used
   */
  static async start(parts: RoutesWatcherParts): Promise<RoutesWatcher> {
    const watcher = new RoutesWatcher(parts, await readText(parts.file));
    watcher.watchDirectory();
    watcher.poll();
    return watcher;
  }

  match(httpMethod: string, target: string): RouteMatch {
    return this.current.match(httpMethod, target);
  }

  /** Reads the file now, and settles once what it says is in force or refused. Never rejects. */
  reload(): Promise<void> {
    if (this.reading !== null) {
      // The read under way may have begun before the change.
      this.readAgain = true;
      return this.reading;
    }
    this.reading = this.readUntilSettled().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  /** Stops watching. The last table stays in force. */
  stop(): void {
    this.stopped = true;
    this.cancelPoll();
    this.cancelSettle();
    this.watcher?.close();
  }

  private async readUntilSettled(): Promise<void> {
    do {
      this.readAgain = false;
      await this.readOnce();
    } while (this.readAgain && !this.stopped);
  }

  private async readOnce(): Promise<void> {
    const { file, methods, logger, onReload } = this.parts;
    let text: string | null = null;
    try {
      text = await readText(file);
      if (text === this.seen) return;
      this.current = parseRoutes(text, file, methods);
      this.seen = text;
      logger.info('the routes file has changed and is in force', { file });
      onReload?.('loaded');
    } catch (error) {
      // One complaint for each state of the file, not one for each poll.
      const state = text ?? `unreadable: ${String(error)}`;
      if (state === this.seen) return;
      this.seen = state;
      const problems = error instanceof RoutesError ? error.problems : [String(error)];
      logger.error('the routes file has changed and cannot be used; the routes before it stay in force', {
        file,
        problems,
      });
      onReload?.('refused');
    }
  }

  private watchDirectory(): void {
    try {
      this.watcher = watch(dirname(this.parts.file), { persistent: false }, () => {
        this.cancelSettle();
        this.cancelSettle = this.parts.timers.after(SETTLE_MS, () => void this.reload());
      });
      this.watcher.on('error', (error) => this.withoutNotifications(error));
    } catch (error) {
      this.withoutNotifications(error);
    }
  }

  private withoutNotifications(error: unknown): void {
    this.watcher?.close();
    this.parts.logger.warn('the routes file is polled only; its directory cannot be watched', { error });
  }

  private poll(): void {
    if (this.stopped) return;
    this.cancelPoll = this.parts.timers.after(ROUTES_POLL_MS, () => void this.reload().then(() => this.poll()));
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new RoutesError([`${file}: it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`]);
  }
}
