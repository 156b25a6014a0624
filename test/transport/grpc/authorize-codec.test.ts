import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REASONS, Reason } from '../../../src/domain/reason.js';
import {
  AuthorizeBatchRequest,
  AuthorizeBatchResponse,
  AuthorizeRequest,
  AuthorizeResponse,
  AuthorizeStreamRequest,
  AuthorizeStreamResponse,
} from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Decision, Permission as ProtoPermission } from '../../../src/gen/latchkey/v1/decision.js';
import type { Verdict } from '../../../src/service/authorizer.js';
import {
  BATCH_MAX,
  decodeBatch,
  decodeQuestion,
  decodeStreamQuestion,
  encodeBatch,
  encodeStreamAnswer,
  encodeVerdict,
  FIELD_BYTES_MAX,
} from '../../../src/transport/grpc/authorize-codec.js';
import { BrokenMessage } from '../../../src/transport/grpc/wire.js';
import { keyRecord, methodEntry } from '../../support/fakes/builders.js';

const text = fc.string({ unit: 'binary', maxLength: 200 });
const question = fc.record({ key: text, workflowId: text, method: text });
const correlation = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const verdict: fc.Arbitrary<Verdict> = fc.record({
  reason: fc.constantFrom(...REASONS),
  key: fc.option(
    fc
      .record({ id: text, accountId: text, workflowId: text, permissions: fc.nat(7), appId: text })
      .map((given) => keyRecord(given)),
  ),
  method: fc.option(
    fc.constantFrom(1 as const, 2 as const, 4 as const).map((permission) => methodEntry({ permission })),
    { nil: undefined },
  ),
});

const PERMISSIONS = [
  [1, ProtoPermission.READ],
  [2, ProtoPermission.EXECUTE],
  [4, ProtoPermission.WRITE],
] as const;

/** What the generated codec must read from an encoded verdict. */
function expected({ reason, key, method }: Verdict): AuthorizeResponse {
  const held = key?.permissions ?? 0;
  return {
    // The decision goes with the reason, and an answer without a key never allows.
    decision: reason === Reason.GRANTED && key !== null ? Decision.ALLOW : Decision.DENY,
    reason: reason as number,
    keyId: key?.id ?? '',
    accountId: key?.accountId ?? '',
    workflowId: key?.workflowId ?? '',
    permissions: PERMISSIONS.filter(([bit]) => (held & bit) !== 0).map(([, permission]) => permission),
    requiredPermission: PERMISSIONS.find(([bit]) => bit === method?.permission)?.[1] ?? ProtoPermission.UNSPECIFIED,
    appId: key?.appId ?? '',
  };
}

const halves = (value: bigint) => ({
  correlationLow: Number(value & 0xffffffffn),
  correlationHigh: Number(value >> 32n),
});

describe('the hand-written codec', () => {
  it('reads every request as the generated one wrote it', () => {
    fc.assert(
      fc.property(question, (given) => {
        expect(decodeQuestion(Buffer.from(AuthorizeRequest.encode(given).finish()))).toEqual(given);
      }),
    );
  });

  it('reads every batch as the generated one wrote it', () => {
    fc.assert(
      fc.property(fc.array(question, { maxLength: 20 }), (requests) => {
        expect(decodeBatch(Buffer.from(AuthorizeBatchRequest.encode({ requests }).finish()))).toEqual(requests);
      }),
    );
  });

  it('reads every question of a stream as the generated one wrote it', () => {
    fc.assert(
      fc.property(correlation, fc.option(question, { nil: undefined }), (correlationId, request) => {
        const bytes = Buffer.from(AuthorizeStreamRequest.encode({ correlationId, request }).finish());
        expect(decodeStreamQuestion(bytes)).toEqual({
          key: '',
          workflowId: '',
          method: '',
          ...request,
          ...halves(correlationId),
        });
      }),
    );
  });

  it('writes every answer so that the generated one reads it', () => {
    fc.assert(
      fc.property(verdict, (given) => {
        expect(AuthorizeResponse.decode(encodeVerdict(given))).toEqual(expected(given));
      }),
    );
  });

  it('writes every batch of answers so that the generated one reads it', () => {
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 20 }), (given) => {
        expect(AuthorizeBatchResponse.decode(encodeBatch(given)).responses).toEqual(given.map(expected));
      }),
    );
  });

  it('writes every answer of a stream so that the generated one reads it', () => {
    fc.assert(
      fc.property(correlation, verdict, (correlationId, given) => {
        const bytes = encodeStreamAnswer({ ...halves(correlationId), verdict: given });
        expect(AuthorizeStreamResponse.decode(bytes)).toEqual({ correlationId, response: expected(given) });
      }),
    );
  });

  it('writes exactly the bytes of the generated one', () => {
    fc.assert(
      fc.property(verdict, (given) => {
        expect(encodeVerdict(given)).toEqual(Buffer.from(AuthorizeResponse.encode(expected(given)).finish()));
      }),
    );
  });

  it.each([0, 1, 41, 42, 43, 127, 128, 16_384])('writes ids of %i characters of three bytes each', (length) => {
    const id = '☂'.repeat(length);
    const given: Verdict = {
      reason: Reason.GRANTED,
      key: keyRecord({ id, accountId: id, appId: id }),
      method: undefined,
    };
    expect(AuthorizeResponse.decode(encodeVerdict(given))).toEqual(expected(given));
  });

  it('never takes an answer without identity for an allowance', () => {
    for (const reason of REASONS) {
      const answer = AuthorizeResponse.decode(encodeVerdict({ reason, key: null, method: undefined }));
      expect(answer.decision).toBe(Decision.DENY);
    }
  });

  it('skips fields it does not know and takes the last of a repeated one', () => {
    const bytes = Buffer.concat([
      Buffer.from([0x20, 0xff, 0x01]), // field 4, varint
      Buffer.from(AuthorizeRequest.encode({ key: 'first', workflowId: 'w', method: 'm' }).finish()),
      Buffer.from([0x29, 1, 2, 3, 4, 5, 6, 7, 8]), // field 5, 64 bits
      Buffer.from([0x35, 1, 2, 3, 4]), // field 6, 32 bits
      Buffer.from([0x3a, 2, 0xff, 0xff]), // field 7, bytes
      Buffer.from(AuthorizeRequest.encode({ key: 'last', workflowId: '', method: '' }).finish()),
    ]);
    expect(decodeQuestion(bytes)).toEqual({ key: 'last', workflowId: 'w', method: 'm' });
    expect(AuthorizeRequest.decode(bytes)).toEqual({ key: 'last', workflowId: 'w', method: 'm' });
  });

  it('answers a value, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        for (const decode of [decodeQuestion, decodeBatch, decodeStreamQuestion]) {
          expect(decode(Buffer.from(bytes))).toBeTypeOf('object');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a length beyond the end', [0x0a, 0x05, 0x61]],
    ['a length of 2^63', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a number without an end', [0x08, 0xff]],
    ['a number of eleven bytes', [0x20, ...Array(10).fill(0xff), 0x01]],
    ['a tag without a length', [0x0a]],
    ['field number 0', [0x02, 0x00]],
    ['a group', [0x23, 0x24]],
    ['wire type 6', [0x26]],
    ['a key that is not UTF-8', [0x0a, 0x02, 0xc3, 0x28]],
    ['a lone surrogate in UTF-8', [0x0a, 0x03, 0xed, 0xa0, 0x80]],
  ])('finds the message broken: %s', (_, bytes) => {
    expect(decodeQuestion(Buffer.from(bytes))).toBeInstanceOf(BrokenMessage);
  });

  it('finds text broken exactly when it is not UTF-8', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const pieces = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }).map((piece) => new TextEncoder().encode(piece)),
      fc.constant(new TextEncoder().encode('\uFFFD')),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (all) => {
        const bytes = Buffer.concat(all);
        let text: string | null = null;
        try {
          text = strict.decode(bytes);
        } catch {
          // Not UTF-8.
        }
        const decoded = decodeQuestion(Buffer.concat([Buffer.from([0x12, bytes.length]), bytes]));
        if (text === null) expect(decoded).toBeInstanceOf(BrokenMessage);
        else expect(decoded).toMatchObject({ workflowId: text });
      }),
      { numRuns: 3000 },
    );
  });

  it.each(['key', 'workflowId', 'method'] as const)('allows 4096 bytes in %s and not one more', (field) => {
    const blank = { key: '', workflowId: '', method: '' };
    const encode = (value: string) => Buffer.from(AuthorizeRequest.encode({ ...blank, [field]: value }).finish());
    // Two bytes a character, so that counting characters would allow twice as much.
    const longest = 'é'.repeat(FIELD_BYTES_MAX / 2);
    expect(decodeQuestion(encode(longest))).toMatchObject({ [field]: longest });
    expect(decodeQuestion(encode(`${longest}x`))).toBeInstanceOf(BrokenMessage);
  });

  it('allows 1000 questions in a batch and not one more', () => {
    const requests = Array.from({ length: BATCH_MAX }, () => ({ key: 'k', workflowId: '', method: 'm' }));
    const encode = (all: AuthorizeRequest[]) => Buffer.from(AuthorizeBatchRequest.encode({ requests: all }).finish());
    expect(decodeBatch(encode(requests))).toHaveLength(BATCH_MAX);
    expect(decodeBatch(encode([...requests, requests[0] as AuthorizeRequest]))).toBeInstanceOf(BrokenMessage);
  });

  it('does not read a question beyond its own length', () => {
    // A question of one byte, whose field claims to be longer than it.
    expect(decodeBatch(Buffer.from([0x0a, 0x02, 0x0a, 0x03, 0x61, 0x62, 0x63]))).toBeInstanceOf(BrokenMessage);
  });
});
