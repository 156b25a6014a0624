import { isUtf8 } from 'node:buffer';
import { ALL_PERMISSIONS, Permission, permissionBit, permissionNames } from '../../domain/permissions.js';
import { REASONS, Reason } from '../../domain/reason.js';
import { Decision } from '../../gen/latchkey/v1/decision.js';
import type { Verdict } from '../../service/authorizer.js';
import { permissionToProto } from './convert.js';
import { BrokenMessage, varint64Size, varintSize, WireReader, writeVarint, writeVarint64 } from './wire.js';

/**
 * The codec of the messages around `Authorize`, written by hand.
 *
 * The generated one costs several times what a decision costs, and hands over an object that would only be copied. This
 * one reads straight into a {@link Question} and writes straight from a {@link Verdict}. What it does not know it skips,
 * a field that comes twice counts the last time, and text that is not UTF-8 makes the message broken, as protobuf
 * demands. A test holds it against the generated codec.
 */

/** Most bytes of a text field. */
export const FIELD_BYTES_MAX = 4096;

/** Most questions of a batch. */
export const BATCH_MAX = 1000;

/** A decoded `AuthorizeRequest`. */
export interface Question {
  key: string;
  workflowId: string;
  method: string;
}

/** A decoded `AuthorizeStreamRequest`. The correlation id stays in two halves, because a bigint costs an allocation. */
export interface StreamQuestion extends Question {
  correlationLow: number;
  correlationHigh: number;
}

/** An answer to a {@link StreamQuestion}. */
export interface StreamAnswer {
  readonly correlationLow: number;
  readonly correlationHigh: number;
  readonly verdict: Verdict;
}

// One for all: decoding is synchronous and not reentrant.
const reader = new WireReader();

/**
 * Decodes an `AuthorizeRequest`. A message that cannot be decoded is a value, not an exception: thrown from a
 * deserializer it would reach the client as an `INTERNAL` fault of this server.
 */
export function decodeQuestion(bytes: Buffer): Question | BrokenMessage {
  const question: Question = { key: '', workflowId: '', method: '' };
  // As `reading` does, without its closure: this is the hottest of them.
  reader.reset(bytes);
  try {
    readQuestion(question, bytes);
    return question;
  } catch (error) {
    return brokenOr(error);
  } finally {
    reader.release();
  }
}

/** Decodes an `AuthorizeBatchRequest`; more than {@link BATCH_MAX} questions make it broken. */
export function decodeBatch(bytes: Buffer): Question[] | BrokenMessage {
  const questions: Question[] = [];
  return reading(bytes, () => {
    const { end } = reader;
    while (reader.position < end) {
      const tag = reader.tag();
      if (tag !== TAG_BATCH_REQUESTS) {
        reader.skip(tag & 7);
        continue;
      }
      if (questions.length === BATCH_MAX) throw new BrokenMessage(`A batch holds at most ${BATCH_MAX} requests.`);
      const question: Question = { key: '', workflowId: '', method: '' };
      reader.end = reader.endOfField();
      readQuestion(question, bytes);
      reader.end = end;
      questions.push(question);
    }
    return questions;
  });
}

/** Decodes an `AuthorizeStreamRequest`. One without a request asks with an empty key. */
export function decodeStreamQuestion(bytes: Buffer): StreamQuestion | BrokenMessage {
  const question: StreamQuestion = { key: '', workflowId: '', method: '', correlationLow: 0, correlationHigh: 0 };
  return reading(bytes, () => {
    const { end } = reader;
    while (reader.position < end) {
      const tag = reader.tag();
      if (tag === TAG_STREAM_REQUEST) {
        reader.end = reader.endOfField();
        readQuestion(question, bytes);
        reader.end = end;
      } else if (tag === TAG_STREAM_CORRELATION) {
        question.correlationLow = reader.varint();
        question.correlationHigh = reader.high;
      } else reader.skip(tag & 7);
    }
    return question;
  });
}

/** Encodes an `AuthorizeResponse`. */
export function encodeVerdict(verdict: Verdict): Buffer {
  if (verdict.key === null) return constantAnswer(verdict);
  const bytes = Buffer.allocUnsafe(verdictSize(verdict));
  writeVerdict(bytes, 0, verdict);
  return bytes;
}

/** Encodes an `AuthorizeBatchResponse` into one buffer. */
export function encodeBatch(verdicts: readonly Verdict[]): Buffer {
  const sizes = new Array<number>(verdicts.length);
  let total = 0;
  for (let i = 0; i < verdicts.length; i++) {
    const size = verdictSize(verdicts[i] as Verdict);
    sizes[i] = size;
    total += 1 + varintSize(size) + size;
  }
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (let i = 0; i < verdicts.length; i++) {
    bytes[at++] = TAG_BATCH_RESPONSES;
    at = writeVarint(bytes, at, sizes[i] as number);
    at = writeVerdict(bytes, at, verdicts[i] as Verdict);
  }
  return bytes;
}

/** Encodes an `AuthorizeStreamResponse`. */
export function encodeStreamAnswer(answer: StreamAnswer): Buffer {
  const { correlationLow: low, correlationHigh: high, verdict } = answer;
  const hasCorrelation = low !== 0 || high !== 0;
  const size = verdictSize(verdict);
  const bytes = Buffer.allocUnsafe((hasCorrelation ? 1 + varint64Size(low, high) : 0) + 1 + varintSize(size) + size);
  let at = 0;
  if (hasCorrelation) {
    bytes[at++] = TAG_STREAM_CORRELATION;
    at = writeVarint64(bytes, at, low, high);
  }
  bytes[at++] = TAG_STREAM_RESPONSE;
  at = writeVarint(bytes, at, size);
  writeVerdict(bytes, at, verdict);
  return bytes;
}

// Tags: field number * 8 + wire type.
const TAG_KEY = 0x0a;
const TAG_WORKFLOW = 0x12;
const TAG_METHOD = 0x1a;
const TAG_BATCH_REQUESTS = 0x0a;
const TAG_BATCH_RESPONSES = 0x0a;
const TAG_STREAM_CORRELATION = 0x08;
const TAG_STREAM_REQUEST = 0x12;
const TAG_STREAM_RESPONSE = 0x12;
const TAG_DECISION = 0x08;
const TAG_REASON = 0x10;
const TAG_KEY_ID = 0x1a;
const TAG_ACCOUNT_ID = 0x22;
const TAG_WORKFLOW_ID = 0x2a;
const TAG_PERMISSIONS = 0x32;
const TAG_REQUIRED_PERMISSION = 0x38;
const TAG_APP_ID = 0x42;

/** Runs one decoding with the shared reader. */
function reading<T>(bytes: Buffer, decode: () => T): T | BrokenMessage {
  reader.reset(bytes);
  try {
    return decode();
  } catch (error) {
    return brokenOr(error);
  } finally {
    reader.release();
  }
}

function brokenOr(error: unknown): BrokenMessage {
  if (error instanceof BrokenMessage) return error;
  throw error;
}

function readQuestion(question: Question, bytes: Buffer): void {
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === TAG_KEY) question.key = readText('key', bytes);
    else if (tag === TAG_WORKFLOW) question.workflowId = readText('workflow_id', bytes);
    else if (tag === TAG_METHOD) question.method = readText('method', bytes);
    else reader.skip(tag & 7);
  }
}

function readText(field: string, bytes: Buffer): string {
  const end = reader.endOfField();
  const start = reader.position;
  if (end - start > FIELD_BYTES_MAX) {
    throw new BrokenMessage(`The field ${field} is longer than ${FIELD_BYTES_MAX} bytes.`);
  }
  reader.position = end;
  const text = (bytes as SlicedBuffer).utf8Slice(start, end);
  // As many characters as bytes means that each byte became one: an ASCII character, or, where it was no UTF-8, the
  // replacement character. Only other text needs a closer look, which costs as much as all the rest.
  const valid = text.length === end - start ? !text.includes(REPLACEMENT) : isUtf8(bytes.subarray(start, end));
  if (!valid) throw new BrokenMessage(`The field ${field} is not UTF-8.`);
  return text;
}

/** What every `Buffer` has behind `toString('utf8')`, which looks its encoding up anew each time. */
interface SlicedBuffer extends Buffer {
  utf8Slice(start: number, end: number): string;
}

/** What decoding puts in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\uFFFD';

/** The permission numbers of each set, as the packed field holds them. */
const PACKED_PERMISSIONS: readonly Uint8Array[] = Array.from({ length: ALL_PERMISSIONS + 1 }, (_, set) =>
  Uint8Array.from(permissionNames(set), (name) => permissionToProto(permissionBit(name))),
);

/** Whole answers that name no key: by reason, then by the number of the required permission (0: none). */
const CONSTANT_ANSWERS: readonly (readonly Buffer[])[] = Array.from({ length: Math.max(...REASONS) + 1 }, (_, reason) =>
  Array.from({ length: permissionToProto(Permission.WRITE) + 1 }, (_, required) =>
    Buffer.from([
      TAG_DECISION,
      Decision.DENY,
      TAG_REASON,
      reason,
      ...(required === 0 ? [] : [TAG_REQUIRED_PERMISSION, required]),
    ]),
  ),
);

/** The number of the permission that the asked method requires; 0 when that is not known. */
function requiredPermission(verdict: Verdict): number {
  return verdict.method === undefined ? 0 : permissionToProto(verdict.method.permission);
}

/** The bytes of an answer without identity. Shared: nobody writes to them. */
function constantAnswer(verdict: Verdict): Buffer {
  return CONSTANT_ANSWERS[verdict.reason]?.[requiredPermission(verdict)] as Buffer;
}

function verdictSize(verdict: Verdict): number {
  const { key } = verdict;
  if (key === null) return constantAnswer(verdict).length;
  const permissions = PACKED_PERMISSIONS[key.permissions & ALL_PERMISSIONS] as Uint8Array;
  return (
    4 +
    textSize(key.id) +
    textSize(key.accountId) +
    textSize(key.workflowId) +
    (permissions.length === 0 ? 0 : 2 + permissions.length) +
    (verdict.method === undefined ? 0 : 2) +
    textSize(key.appId)
  );
}

/** Writes an answer, fields in the order of their numbers, and returns the place after it. */
function writeVerdict(bytes: Buffer, position: number, verdict: Verdict): number {
  const { key } = verdict;
  let at = position;
  if (key === null) return at + constantAnswer(verdict).copy(bytes, at);
  bytes[at++] = TAG_DECISION;
  bytes[at++] = verdict.reason === Reason.GRANTED ? Decision.ALLOW : Decision.DENY;
  bytes[at++] = TAG_REASON;
  bytes[at++] = verdict.reason;
  at = writeText(bytes, at, TAG_KEY_ID, key.id);
  at = writeText(bytes, at, TAG_ACCOUNT_ID, key.accountId);
  at = writeText(bytes, at, TAG_WORKFLOW_ID, key.workflowId);
  const permissions = PACKED_PERMISSIONS[key.permissions & ALL_PERMISSIONS] as Uint8Array;
  if (permissions.length > 0) {
    bytes[at++] = TAG_PERMISSIONS;
    bytes[at++] = permissions.length;
    for (let i = 0; i < permissions.length; i++) bytes[at++] = permissions[i] as number;
  }
  const required = requiredPermission(verdict);
  if (required !== 0) {
    bytes[at++] = TAG_REQUIRED_PERMISSION;
    bytes[at++] = required;
  }
  return writeText(bytes, at, TAG_APP_ID, key.appId);
}

/** Most characters of a text whose length in UTF-8, at three bytes a character, surely fits one byte as a varint. */
const SHORT_TEXT = 42;

function textSize(text: string): number {
  if (text === '') return 0;
  const length = Buffer.byteLength(text);
  return 1 + varintSize(length) + length;
}

function writeText(bytes: Buffer, position: number, tag: number, text: string): number {
  if (text === '') return position;
  bytes[position] = tag;
  if (text.length <= SHORT_TEXT) {
    const length = bytes.write(text, position + 2, 'utf8');
    bytes[position + 1] = length;
    return position + 2 + length;
  }
  const at = writeVarint(bytes, position + 1, Buffer.byteLength(text));
  return at + bytes.write(text, at, 'utf8');
}
