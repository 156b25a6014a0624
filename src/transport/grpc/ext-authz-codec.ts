import { status as GrpcStatus } from '@grpc/grpc-js';
import { reasonName } from '../../domain/reason.js';
import { HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base.js';
import type { Verdict } from '../../service/authorizer.js';
import { type Answer, type Header, identityHeaders, type Refusal } from '../authorization-answer.js';
import { type Extraction, mayBeRead, type ProxiedRequest } from '../extract.js';
import { BackwardWriter } from './backward-writer.js';
import { BrokenMessage, WireReader } from './wire.js';

/**
 * The codec of `envoy.service.auth.v3`, written by hand for the reason that `authorize-codec.ts` is: a check describes a
 * whole request, of which two or three headers matter. A test holds it against the generated codec.
 */

/** An answer to a check, with what its metadata is made of. */
export interface CheckAnswer {
  readonly answer: Answer;
  /** `null` when no decision could be made. */
  readonly verdict: Verdict | null;
  readonly extraction: Extraction;
}

// Tags: field number * 8 + wire type.
const TAG_REQUEST_ATTRIBUTES = 0x0a;
const TAG_ATTRIBUTES_REQUEST = 0x22;
const TAG_ATTRIBUTES_CONTEXT_EXTENSIONS = 0x52;
const TAG_REQUEST_HTTP = 0x12;
const TAG_HTTP_METHOD = 0x12;
const TAG_HTTP_HEADERS = 0x1a;
const TAG_HTTP_PATH = 0x22;
const TAG_HTTP_HEADER_MAP = 0x6a;
const TAG_HEADER_MAP_HEADERS = 0x0a;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;
const TAG_HEADER_RAW_VALUE = 0x1a;
const TAG_RESPONSE_STATUS = 0x0a;
const TAG_RESPONSE_DENIED = 0x12;
const TAG_RESPONSE_OK = 0x1a;
const TAG_RESPONSE_METADATA = 0x22;
const TAG_STATUS_CODE = 0x08;
const TAG_STATUS_MESSAGE = 0x12;
const TAG_DENIED_STATUS = 0x0a;
const TAG_DENIED_BODY = 0x1a;
const TAG_HTTP_STATUS_CODE = 0x08;
const TAG_HEADERS = 0x12;
const TAG_OK_HEADERS_TO_REMOVE = 0x2a;
const TAG_OPTION_HEADER = 0x0a;
const TAG_OPTION_APPEND_ACTION = 0x18;
const TAG_STRUCT_FIELDS = 0x0a;
const TAG_ENTRY_KEY = 0x0a;
const TAG_ENTRY_VALUE = 0x12;
const TAG_VALUE_STRING = 0x1a;

// One of each for all: coding is synchronous and not reentrant.
const reader = new WireReader();
const writer = new BackwardWriter(4096);

interface Reading {
  bytes: Buffer;
  headers: [string, string][];
  httpMethod: string;
  target: string;
  contextExtensions: Record<string, string>;
}

/**
 * Decodes a `CheckRequest`. Whatever is missing is empty. Both forms of headers are read: a caller that fills both
 * repeats every header, which denies, because there is no telling which of the two the upstream will see. A message
 * that cannot be decoded becomes a request without credentials, so that it is denied like one: as an error of the call
 * it would be let through by a proxy with `failure_mode_allow`.
 */
export function decodeCheck(bytes: Buffer): ProxiedRequest {
  const reading: Reading = { bytes, headers: [], httpMethod: '', target: '', contextExtensions: {} };
  reader.reset(bytes);
  try {
    fields(reading, readRequest);
    const { headers, httpMethod, target, contextExtensions } = reading;
    return { headers, httpMethod, target, contextExtensions };
  } catch (error) {
    if (!(error instanceof BrokenMessage)) throw error;
    return { headers: [], httpMethod: '', target: '', contextExtensions: {}, contradiction: error.message };
  } finally {
    reader.release();
  }
}

/** Reads the fields up to the reader's end. `read` takes or skips one; it may nest. */
function fields(reading: Reading, read: (tag: number, reading: Reading) => void): void {
  while (reader.position < reader.end) read(reader.tag(), reading);
}

/** Reads the fields of a nested message. */
function nested(reading: Reading, read: (tag: number, reading: Reading) => void): void {
  const { end } = reader;
  reader.end = reader.endOfField();
  fields(reading, read);
  reader.end = end;
}

function readRequest(tag: number, reading: Reading): void {
  if (tag === TAG_REQUEST_ATTRIBUTES) nested(reading, readAttributes);
  else reader.skip(tag & 7);
}

function readAttributes(tag: number, reading: Reading): void {
  if (tag === TAG_ATTRIBUTES_REQUEST) nested(reading, readAttributesRequest);
  else if (tag === TAG_ATTRIBUTES_CONTEXT_EXTENSIONS) {
    const [key, value] = readPair(reading.bytes, false) ?? ['', ''];
    reading.contextExtensions[key] = value;
  } else reader.skip(tag & 7);
}

function readAttributesRequest(tag: number, reading: Reading): void {
  if (tag === TAG_REQUEST_HTTP) nested(reading, readHttp);
  else reader.skip(tag & 7);
}

function readHttp(tag: number, reading: Reading): void {
  if (tag === TAG_HTTP_HEADERS) readHeader(reading);
  else if (tag === TAG_HTTP_HEADER_MAP) nested(reading, readHeaderMap);
  else if (tag === TAG_HTTP_METHOD) reading.httpMethod = readText(reading.bytes);
  else if (tag === TAG_HTTP_PATH) reading.target = readText(reading.bytes);
  else reader.skip(tag & 7);
}

function readHeaderMap(tag: number, reading: Reading): void {
  if (tag === TAG_HEADER_MAP_HEADERS) readHeader(reading);
  else reader.skip(tag & 7);
}

function readHeader(reading: Reading): void {
  const header = readPair(reading.bytes, true);
  if (header !== null) reading.headers.push(header);
}

/**
 * Reads an entry of a map or a `HeaderValue`, which have their key and value at the same numbers. Returns `null` for a
 * header that nothing reads; most are, and making strings of them would be most of the cost of a check.
 */
function readPair(bytes: Buffer, header: boolean): [string, string] | null {
  const { end } = reader;
  const own = reader.endOfField();
  reader.end = own;
  let key = '';
  let value = '';
  while (reader.position < own) {
    const tag = reader.tag();
    if (tag === TAG_HEADER_KEY) {
      const keyEnd = reader.endOfField();
      if (header && (keyEnd === reader.position || !mayBeRead(bytes[reader.position] as number))) {
        reader.position = own;
        reader.end = end;
        return null;
      }
      key = bytes.toString('utf8', reader.position, keyEnd);
      reader.position = keyEnd;
    } else if (tag === TAG_HEADER_VALUE || (header && tag === TAG_HEADER_RAW_VALUE)) value += readText(bytes);
    else reader.skip(tag & 7);
  }
  reader.end = end;
  return header && key === '' ? null : [key, value];
}

function readText(bytes: Buffer): string {
  const end = reader.endOfField();
  const text = bytes.toString('utf8', reader.position, end);
  reader.position = end;
  return text;
}

/** Encodes a `CheckResponse`. */
export function encodeCheckAnswer({ answer, verdict, extraction }: CheckAnswer): Buffer {
  writer.begin();
  writeMetadata(answer, verdict, extraction);
  if (answer.kind === 'allowed') writeAllowed(identityHeaders(answer.key), extraction);
  else writeRefused(answer);
  return writer.finish();
}

function writeAllowed(identity: readonly Header[], extraction: Extraction): void {
  const since = writer.length;
  // Envoy removes after it sets, so that a name must be in one of the two lists only.
  for (const name of extraction.headersToRemove) {
    if (!identity.some(([set]) => set === name)) writer.text(TAG_OK_HEADERS_TO_REMOVE, name);
  }
  for (let i = identity.length - 1; i >= 0; i--) {
    const header = identity[i] as Header;
    if (header[1] === '') writer.text(TAG_OK_HEADERS_TO_REMOVE, header[0]);
    else writeHeader(header);
  }
  writer.message(TAG_RESPONSE_OK, since);
  // An empty status is OK.
  writer.message(TAG_RESPONSE_STATUS, writer.length);
}

const GRPC_STATUS = {
  401: GrpcStatus.UNAUTHENTICATED,
  403: GrpcStatus.PERMISSION_DENIED,
  503: GrpcStatus.UNAVAILABLE,
} as const;

function writeRefused(refusal: Refusal): void {
  const since = writer.length;
  writer.text(TAG_DENIED_BODY, refusal.body);
  for (let i = refusal.headers.length - 1; i >= 0; i--) writeHeader(refusal.headers[i] as Header);
  const sinceStatus = writer.length;
  writer.number(TAG_HTTP_STATUS_CODE, refusal.status);
  writer.message(TAG_DENIED_STATUS, sinceStatus);
  writer.message(TAG_RESPONSE_DENIED, since);

  const sinceRpcStatus = writer.length;
  writer.text(TAG_STATUS_MESSAGE, refusal.reason ?? 'no decision could be made');
  writer.number(TAG_STATUS_CODE, GRPC_STATUS[refusal.status]);
  writer.message(TAG_RESPONSE_STATUS, sinceRpcStatus);
}

function writeHeader([name, value]: Header): void {
  const since = writer.length;
  writer.number(TAG_OPTION_APPEND_ACTION, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD);
  const sinceHeader = writer.length;
  writer.text(TAG_HEADER_VALUE, value);
  writer.text(TAG_HEADER_KEY, name);
  writer.message(TAG_OPTION_HEADER, sinceHeader);
  writer.message(TAG_HEADERS, since);
}

/** For the proxy's access log and later filters. Names the method, which is the operator's word, and never the key. */
function writeMetadata(answer: Answer, verdict: Verdict | null, extraction: Extraction): void {
  const since = writer.length;
  if (verdict === null) writeEntry('decision', 'none');
  else {
    // The workflow that the request names: proven to be the account's only where the decision is `allow`.
    if (verdict.key !== null && extraction.workflowId !== '') writeEntry('workflow_id', extraction.workflowId);
    if (verdict.key !== null) {
      writeEntry('account_id', verdict.key.accountId);
      writeEntry('key_id', verdict.key.id);
    }
    if (verdict.method !== undefined) writeEntry('method', verdict.method.name);
    const refusedFor = answer.kind === 'refused' ? answer.reason : null;
    writeEntry('reason', refusedFor ?? reasonName(verdict.reason));
    writeEntry('decision', answer.kind === 'allowed' ? 'allow' : 'deny');
  }
  writer.message(TAG_RESPONSE_METADATA, since);
}

function writeEntry(name: string, value: string): void {
  const since = writer.length;
  writer.text(TAG_VALUE_STRING, value);
  writer.message(TAG_ENTRY_VALUE, since);
  writer.text(TAG_ENTRY_KEY, name);
  writer.message(TAG_STRUCT_FIELDS, since);
}
