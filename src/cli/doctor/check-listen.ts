import { randomUUID } from 'node:crypto';
import { withConnection } from './check-database.js';
import { type Finding, ok, reasonOf, warn } from './finding.js';

/**
 * Listens on the direct connection and notifies over the one of the queries. Behind a transaction pooler the former is
 * accepted and then nothing ever arrives, so that only a real notification proves anything.
 */
export async function checkListen(queryUrl: string, listenUrl: string): Promise<Finding> {
  // A channel of its own, so that no sidecar is woken.
  const channel = `latchkey_doctor_${randomUUID().replaceAll('-', '')}`;
  try {
    await withConnection(listenUrl, async (listener) => {
      const arrived = new Promise<void>((resolve) => {
        listener.on('notification', (message) => {
          if (message.channel === channel) resolve();
        });
      });
      await listener.query(`LISTEN ${channel}`);
      await withConnection(queryUrl, (notifier) => notifier.query('SELECT pg_notify($1, $2)', [channel, '']));
      await arrived;
    });
    return ok('LISTEN', 'a notification arrived');
  } catch (error) {
    return warn(
      'LISTEN',
      `no notification arrived: ${reasonOf(error)}`,
      'set LATCHKEY_LISTEN_DATABASE_URL to a direct connection, past any pooler; without it revocations are as safe, but take up to a third of a lease',
    );
  }
}
