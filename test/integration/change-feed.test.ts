import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { type ChangeFeedParts, PostgresChangeFeed } from '../../src/store/postgres/postgres-change-feed.js';
import { testDatabase } from '../support/database.js';
import { startTcpProxy, type TcpProxy, throughProxy } from '../support/tcp-proxy.js';
import { waitUntil } from '../support/wait-until.js';

const db = await testDatabase();
const feeds: PostgresChangeFeed[] = [];

/** A feed with a quick heartbeat, and what it did. */
function startFeed(more: Partial<ChangeFeedParts> = {}) {
  const states: boolean[] = [];
  const warn = vi.fn();
  let hints = 0;
  const feed = new PostgresChangeFeed({
    url: db.url,
    clock: systemClock,
    timers: systemTimers,
    logger: { ...silentLogger, warn },
    metrics: { listenerConnected: (connected) => states.push(connected) },
    heartbeatMs: 50,
    deadlineMs: 300,
    ...more,
  });
  feeds.push(feed);
  feed.start(() => {
    hints++;
  });
  return { feed, states, warn, hints: () => hints };
}

const connected = (feed: PostgresChangeFeed) => waitUntil('the feed is connected', () => feed.connected);
const change = () => db.query("INSERT INTO latchkey.workflows VALUES (gen_random_uuid()::text, 'acme', 'w')");
const listeners = () =>
  db.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'latchkey-listen' AND datname = current_database()",
  );

afterEach(async () => {
  await Promise.all(feeds.splice(0).map((feed) => feed.stop()));
  await waitUntil('no listener is left', async () => (await listeners()).length === 0);
});

describe('the feed', () => {
  it('hints once it listens, and after each committed change', async () => {
    const { feed, hints } = startFeed();
    await connected(feed);
    expect(hints()).toBe(1);
    await change();
    await waitUntil('the change is hinted', () => hints() === 2);
  });

  it('takes rubbish on the channel for a hint', async () => {
    const { feed, hints } = startFeed();
    await connected(feed);
    for (const payload of ['', '{"__proto__":1}', '\u{1F4A9}'.repeat(1000), '-1; DROP TABLE head']) {
      await db.query('SELECT pg_notify($1, $2)', ['latchkey_events', payload]);
    }
    await waitUntil('all are hinted', () => hints() === 5);
    expect(feed.connected).toBe(true);
  });

  it('survives a reader that throws', async () => {
    const { feed } = startFeed();
    await feed.stop();
    let calls = 0;
    feed.start(() => {
      calls++;
      throw new Error('reader');
    });
    await waitUntil('the reader was called', () => calls === 1);
    await change();
    await waitUntil('the reader was called again', () => calls === 2);
  });

  it('connects again when its session is killed, and hints because changes may have been missed', async () => {
    const { feed, hints, states } = startFeed();
    await connected(feed);
    await db.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey-listen' AND datname = current_database()",
    );
    await waitUntil('the loss was noticed', () => states.includes(false) && states.at(-1) === false);
    await connected(feed);
    expect(hints()).toBe(2);
  });

  it('notices that its session listens no more, and connects again', async () => {
    const connect = vi.spyOn(pg.Client.prototype, 'connect');
    const { feed, states, hints } = startFeed();
    await connected(feed);
    // Poolers and proxies that reset sessions do this behind one's back.
    const session = connect.mock.contexts[0] as pg.Client;
    connect.mockRestore();
    await session.query('UNLISTEN *');
    await waitUntil('the loss was noticed', () => states.at(-1) === false);
    await waitUntil('the feed listens again', () => feed.connected && hints() === 2);
  });

  it('goes on trying for ever while nobody listens at the address, and stops at once', async () => {
    const { feed, states } = startFeed({ url: 'postgres://a@127.0.0.1:1/a', random: () => 0 });
    await waitUntil('it was tried', () => states.length >= 1);
    expect(feed.connected).toBe(false);
    await feed.stop();
    expect(feed.connected).toBe(false);
  });

  it('stays quiet on an address that is no address', async () => {
    const { feed } = startFeed({ url: 'this is not a url' });
    expect(feed.connected).toBe(false);
  });

  it('can be stopped while it connects, and started again', async () => {
    const { feed, hints } = startFeed();
    await feed.stop();
    expect(hints()).toBe(0);
    expect(await listeners()).toEqual([]);
    feed.start(() => {});
    await connected(feed);
  });
});

describe('a network between', () => {
  let proxy: TcpProxy;
  beforeAll(async () => {
    proxy = await startTcpProxy(Number(new URL(db.url).port));
  });
  afterAll(() => proxy.close());

  it('that falls silent without a word is found out by the heartbeat, and got over', async () => {
    const { feed, hints } = startFeed({ url: throughProxy(db.url, proxy) });
    await connected(feed);
    const before = proxy.accepted;
    proxy.freeze();
    await waitUntil('the silence was noticed', () => !feed.connected);
    await waitUntil('another connection is tried', () => proxy.accepted > before);
    await change();
    expect(hints()).toBe(1);
    proxy.thaw();
    await connected(feed);
    expect(hints()).toBeGreaterThanOrEqual(2);
  });

  it('that cuts every connection is got over', async () => {
    const { feed, states } = startFeed({ url: throughProxy(db.url, proxy) });
    await connected(feed);
    proxy.cut();
    await waitUntil('the cut was noticed', () => states.at(-1) === false);
    await connected(feed);
  });

  it('that is silent from the start does not keep stop waiting', async () => {
    proxy.freeze();
    const before = proxy.accepted;
    const { feed } = startFeed({ url: throughProxy(db.url, proxy), deadlineMs: 60_000 });
    await waitUntil('the connection was made', () => proxy.accepted > before);
    await feed.stop();
    proxy.thaw();
  });
});
