import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Reason } from '../../src/domain/reason.js';
import { CheckRequest, CheckResponse } from '../../src/gen/envoy/service/auth/v3/external_auth.js';
import { answerOfError, answerOfVerdict } from '../../src/transport/authorization-answer.js';
import { extract, mayBeRead } from '../../src/transport/extract.js';
import { decodeCheck, encodeCheckAnswer } from '../../src/transport/grpc/ext-authz-codec.js';
import { keyRecord, methodEntry } from '../support/fakes/builders.js';

const RULES = { routes: null, trustMethodHeaders: false };
const text = fc.string({ unit: 'grapheme' });
const name = fc.oneof(
  text,
  fc.constantFrom('authorization', 'Authorization', 'x-api-key', 'x-latchkey-key-id', ':path', 'accept', 'host'),
);

/** Keys of a map. The generated code, which writes what is read here, loses a key `__proto__` by itself. */
const keysOfMap = (key: fc.Arbitrary<string>) => key.filter((value) => value !== '__proto__');

describe('the handwritten codec of ext_authz', () => {
  test('reads what the generated one writes', () => {
    fc.assert(
      fc.property(
        text,
        text,
        fc.dictionary(keysOfMap(name), text),
        fc.array(fc.tuple(name, text)),
        fc.dictionary(keysOfMap(fc.oneof(text, fc.constantFrom('method', 'workflow_id'))), text),
        (method, path, headers, raw, contextExtensions) => {
          const message = CheckRequest.fromPartial({
            attributes: {
              request: {
                http: {
                  method,
                  path,
                  headers,
                  headerMap: { headers: raw.map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) },
                },
              },
              contextExtensions,
            },
          });
          const read = decodeCheck(Buffer.from(CheckRequest.encode(message).finish()));
          const all = [...Object.entries(headers), ...raw];
          expect(read).toEqual({
            headers: all.filter(([key]) => key !== '' && mayBeRead(Buffer.from(key)[0] as number)),
            httpMethod: method,
            target: path,
            contextExtensions,
          });
          expect(extract(read, RULES)).toEqual(extract({ ...read, headers: all }, RULES));
        },
      ),
    );
  });

  test('passes over fields that it does not know, as Envoy sends many', () => {
    const known = CheckRequest.encode(
      CheckRequest.fromPartial({ attributes: { request: { http: { method: 'GET', path: '/a' } } } }),
    ).finish();
    // An unknown field of each wire type, in front and behind.
    const unknown = [0x48, 0x96, 0x01, 0x51, 1, 2, 3, 4, 5, 6, 7, 8, 0x5a, 0x02, 0x68, 0x69, 0x65, 1, 2, 3, 4];
    const read = decodeCheck(Buffer.from([...unknown, ...known, ...unknown]));
    expect(read).toMatchObject({ httpMethod: 'GET', target: '/a' });
  });

  test('never throws, whatever it is given', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeCheck(Buffer.from(bytes))));
  });

  test('writes what the generated one reads', () => {
    fc.assert(
      fc.property(
        fc.record({ id: text, accountId: text, workflowId: text, permissions: fc.nat(7) }),
        fc.constantFrom(...Object.values(Reason)),
        fc.array(fc.tuple(name, text), { maxLength: 50 }),
        (given, reason, headers) => {
          const extraction = extract({ headers, httpMethod: '', target: '', contextExtensions: {} }, RULES);
          const verdict = { reason, key: keyRecord(given), method: methodEntry() };
          const answer = answerOfVerdict(verdict, { ...extraction, keyProblem: null, methodProblem: null });
          const written = encodeCheckAnswer({ answer, verdict, extraction });
          const read = CheckResponse.decode(written);
          // Nothing is lost and nothing added: the generated codec writes as many bytes for what it read.
          expect(CheckResponse.encode(read).finish().length).toBe(written.length);
          expect(read.httpResponse?.$case).toBe(reason === Reason.GRANTED ? 'okResponse' : 'deniedResponse');
        },
      ),
    );
  });

  test('has room for a request full of forged headers', () => {
    const headers = Array.from({ length: 2000 }, (_, i): [string, string] => [`x-latchkey-forged-${i}`, 'x']);
    const extraction = extract({ headers, httpMethod: '', target: '', contextExtensions: {} }, RULES);
    const verdict = { reason: Reason.GRANTED, key: keyRecord(), method: methodEntry() };
    const answer = { kind: 'allowed', key: verdict.key } as const;
    const read = CheckResponse.decode(encodeCheckAnswer({ answer, verdict, extraction }));
    expect(read.httpResponse).toMatchObject({ $case: 'okResponse' });
    expect(JSON.stringify(read)).toContain('x-latchkey-forged-1999');
  });

  test('says that nothing was decided without a verdict', () => {
    const extraction = extract({ headers: [], httpMethod: '', target: '', contextExtensions: {} }, RULES);
    const answer = answerOfError(new Error('x'));
    const read = CheckResponse.decode(encodeCheckAnswer({ answer, verdict: null, extraction }));
    expect(read.dynamicMetadata).toEqual({ decision: 'none' });
    expect(read.status).toEqual({ code: 14, message: 'no decision could be made' });
  });
});
