import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClientDuplexStream,
  credentials,
  makeClientConstructor,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ListenAddress } from '../../../src/config.js';
import type { AuthorizeResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Readiness } from '../../../src/service/readiness.js';
import { removeStaleSocket } from '../../../src/transport/stale-socket.js';
import {
  ANY_PORT,
  authorizationClient,
  closing,
  errorReason,
  FakeAuthorizer,
  framed,
  startGrpcServer,
  stopGrpcServers,
  unary,
  until,
} from '../../support/grpc.js';

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'latchkey-grpc-'));
});

afterEach(async () => {
  await stopGrpcServers();
  await rm(dir, { recursive: true, force: true });
});

const unixAddress = (): ListenAddress => {
  const path = join(dir, 'grpc.sock');
  return { kind: 'unix', path, text: `unix:${path}` };
};

const QUESTION = { key: 'k', workflowId: '', method: 'm' };
const ask = (address: string) => {
  const client = authorizationClient(address);
  return unary<AuthorizeResponse>((done) => client.authorize(QUESTION, done));
};

/** A health client made from the protocol's own file, by another library than the server's. */
function healthClient(address: string) {
  const definition = loadSync(healthProtoPath, { enums: String, keepCase: true })['grpc.health.v1.Health'];
  const Health = makeClientConstructor(definition as ServiceDefinition, 'Health');
  const client = closing(new Health(address, credentials.createInsecure()));
  return {
    check: (service: string) =>
      unary<{ status: string }>((done) => client['Check']?.({ service }, done)).then((answer) => answer.status),
    watch: (service: string) => {
      const seen: string[] = [];
      const stream = client['Watch']?.({ service }) as NodeJS.EventEmitter;
      stream.on('data', (message: { status: string }) => seen.push(message.status));
      const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
      return { seen, ended };
    },
  };
}

describe('the addresses of a gRPC server', () => {
  it('serves a unix socket', async () => {
    const address = unixAddress();
    await startGrpcServer({ addresses: [address] });
    expect((await ask(address.text)).keyId).not.toBe('');
  });

  it('serves several addresses at once', async () => {
    const { addresses } = await startGrpcServer({ addresses: [ANY_PORT, unixAddress(), ANY_PORT] });
    expect(new Set(addresses).size).toBe(3);
    for (const address of addresses) expect((await ask(address)).keyId).not.toBe('');
  });

  it('takes over the socket file of a process that was killed', async () => {
    const address = unixAddress();
    await leaveStaleSocket(address.text.slice('unix:'.length));
    await startGrpcServer({ addresses: [address] });
    expect((await ask(address.text)).keyId).not.toBe('');
  });

  it('leaves alone a socket that somebody listens on', async () => {
    const address = unixAddress();
    await startGrpcServer({ addresses: [address] });
    await expect(startGrpcServer({ addresses: [address] })).rejects.toThrow(/another process is listening/);
    expect((await ask(address.text)).keyId).not.toBe('');
  });

  it('leaves alone a file that is no socket', async () => {
    const path = join(dir, 'file');
    await writeFile(path, 'precious');
    await expect(removeStaleSocket(path)).rejects.toThrow(/not a socket/);
    expect((await stat(path)).size).toBe(8);
  });

  it('names the address that cannot be bound', async () => {
    const { address } = await startGrpcServer();
    const [host = '', port] = address.split(':');
    const taken: ListenAddress = { kind: 'tcp', host, port: Number(port), text: address };
    await expect(startGrpcServer({ addresses: [taken] })).rejects.toThrow(`cannot listen on ${address}`);
  });
});

describe('health', () => {
  it('follows readiness, for the server and for each service', async () => {
    const readiness = new Readiness(['grpc', 'database']);
    const { address } = await startGrpcServer({ readiness });
    const { check, watch } = healthClient(address);
    const { seen } = watch('latchkey.v1.AuthorizationService');
    await until(() => seen.length === 1);
    readiness.mark('grpc', true);
    expect(await check('')).toBe('NOT_SERVING');
    readiness.mark('database', true);
    for (const service of ['', 'latchkey.v1.AuthorizationService', 'grpc.health.v1.Health']) {
      expect(await check(service)).toBe('SERVING');
    }
    readiness.mark('database', false);
    await until(() => seen.length === 3);
    expect(seen).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
  });

  it('knows no service but those that are served', async () => {
    const { address } = await startGrpcServer();
    const { check, watch } = healthClient(address);
    await expect(check('latchkey.v1.AppKeyService')).rejects.toMatchObject({ code: status.NOT_FOUND });
    const { seen } = watch('no.such.Service');
    await until(() => seen.length === 1);
    expect(seen).toEqual(['SERVICE_UNKNOWN']);
  });
});

describe('drain', () => {
  it('says NOT_SERVING, then ends streams as UNAVAILABLE, and finishes running calls', async () => {
    const authorizer = new FakeAuthorizer();
    let decide = () => {};
    authorizer.answer('m', () => new Promise((resolve) => (decide = () => resolve(authorizer.verdict(1)))));
    const { address, server } = await startGrpcServer({ authorizer });
    const { seen, ended } = healthClient(address).watch('');
    const stream = authorizationClient(address).authorizeStream();
    const streamEnded = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    const call = ask(address);
    await until(() => authorizer.asked.length === 1 && seen.length === 1 && server.openStreams === 2);

    const drained = server.drain(60_000);
    const error = await streamEnded;
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    expect(errorReason(error)).toBe('UNAVAILABLE');
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
    decide();
    expect((await call).keyId).not.toBe('');
    expect(await drained).toBe(true);
    await expect(ask(address)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('cuts what is still running at the deadline', async () => {
    const authorizer = new FakeAuthorizer();
    authorizer.answer('m', () => new Promise(() => {}));
    const { address, server } = await startGrpcServer({ authorizer });
    const cut = expect(ask(address)).rejects.toMatchObject({ code: status.CANCELLED });
    await until(() => authorizer.asked.length === 1);
    expect(await server.drain(20)).toBe(false);
    await cut;
  });

  it('happens once, however often it is asked for', async () => {
    const { server } = await startGrpcServer();
    expect(server.drain(1000)).toBe(server.drain(0));
    expect(await server.drain(0)).toBe(true);
  });

  it('waits no longer than a second, shorter deadline', async () => {
    const authorizer = new FakeAuthorizer();
    authorizer.answer('m', () => new Promise(() => {}));
    const { address, server } = await startGrpcServer({ authorizer });
    const call = authorizationClient(address).authorize(QUESTION, () => {});
    await until(() => authorizer.asked.length === 1);
    const drained = server.drain(3_600_000);
    void server.drain(20);
    expect(await drained).toBe(false);
    call.cancel();
  });

  it('removes its socket file', async () => {
    const address = unixAddress();
    const { server } = await startGrpcServer({ addresses: [address] });
    await server.drain(1000);
    await expect(stat(join(dir, 'grpc.sock'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('reflection', () => {
  it.each(['v1', 'v1alpha'])('describes every service (%s)', async (version) => {
    const { address } = await startGrpcServer();
    const reflect = reflectionClient(address, version);
    expect(await reflect({ listServices: '*' })).toMatchObject({
      listServicesResponse: {
        service: [
          { name: 'grpc.health.v1.Health' },
          { name: 'grpc.reflection.v1.ServerReflection' },
          { name: 'grpc.reflection.v1alpha.ServerReflection' },
          { name: 'latchkey.v1.AuthorizationService' },
        ],
      },
    });
    for (const fileContainingSymbol of [
      'latchkey.v1.AuthorizationService',
      'grpc.health.v1.Health',
      'latchkey.v1.Reason',
    ]) {
      const answer = await reflect({ fileContainingSymbol });
      expect(answer).toMatchObject({ fileDescriptorResponse: { fileDescriptorProto: expect.anything() } });
    }
    expect(await reflect({ fileContainingSymbol: 'no.Such' })).toMatchObject({ errorResponse: { errorCode: 5 } });
  });

  it('reads nothing more from a client that does not read, and serves the others', async () => {
    const { address, server } = await startGrpcServer();
    const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
    session.on('error', () => {});
    try {
      const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
      stream.on('error', () => {});
      // More questions than the connection takes in unread, each with an answer of several kilobytes.
      const symbol = Buffer.from('latchkey.v1.AuthorizationService');
      const question = framed(Buffer.concat([Buffer.from([0x22, symbol.length]), symbol]));
      let taken = false;
      stream.write(Buffer.concat(Array(10_000).fill(question)), () => {
        taken = true;
      });
      await until(() => server.openStreams === 1);
      for (let i = 0; i < 200; i++) await ask(address);
      expect(taken).toBe(false);
    } finally {
      session.destroy();
    }
  });
});

type ReflectionStream = ClientDuplexStream<
  object,
  Record<string, unknown> & {
    listServicesResponse?: { service: { name: string }[] };
  }
>;

function reflectionStream(address: string, version: string): ReflectionStream {
  const root = join(import.meta.dirname, '../../../node_modules/@grpc/reflection/build/proto/grpc/reflection', version);
  const definition = loadSync(join(root, 'reflection.proto'))[`grpc.reflection.${version}.ServerReflection`];
  const Reflection = makeClientConstructor(definition as ServiceDefinition, 'Reflection');
  const client = closing(new Reflection(address, credentials.createInsecure()));
  return client['ServerReflectionInfo']?.() as unknown as ReflectionStream;
}

/** Asks one question over a stream of its own. */
function reflectionClient(address: string, version: string) {
  return (question: object) =>
    new Promise<object>((resolve, reject) => {
      const stream = reflectionStream(address, version);
      stream.on('data', (answer) => {
        answer.listServicesResponse?.service.sort((a: { name: string }, b: { name: string }) =>
          a.name.localeCompare(b.name),
        );
        resolve(answer);
      });
      stream.on('error', reject);
      stream.write(question);
      stream.end();
    });
}

/** A socket file as a killed process leaves it: bound by a process that was given no time to remove it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const child = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  expect((await stat(path)).isSocket()).toBe(true);
}
