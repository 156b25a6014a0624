import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppUnderTest, appUnderTest } from './app-under-test.js';

let http: AppUnderTest;
let document: Document;

interface Media {
  readonly schema: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

interface Answer {
  readonly description: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, Media>>;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: readonly object[];
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Answer>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>>; readonly securitySchemes: object };
}

beforeAll(async () => {
  http = await appUnderTest();
  const response = await http.send({ method: 'GET', url: '/api/openapi.json' });
  expect(response.statusCode).toBe(200);
  document = response.json();
});

afterAll(() => http.app.close());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ call: `${method.toUpperCase()} ${path}`, operation })),
  );

/** A schema that stands alone: what it refers to comes along. */
const selfContained = (schema: object) => {
  const inlined = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inlined);
    if (typeof value !== 'object' || value === null) return value;
    const { $ref } = value as { $ref?: string };
    if ($ref !== undefined) return inlined(document.components.schemas[$ref.replace('#/components/schemas/', '')]);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inlined(inner)]));
  };
  return inlined(schema) as object;
};

describe('the OpenAPI document', () => {
  it('is OpenAPI 3.1, and needs no session to be read', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.paths['/api/openapi.json']?.get?.security).toEqual([]);
  });

  it('describes every call of the interface and no other', () => {
    expect(
      operations()
        .map(({ call }) => call)
        .sort(),
    ).toEqual([
      'DELETE /api/keys/{key_id}',
      'GET /api/keys',
      'GET /api/openapi.json',
      'GET /api/workflows',
      'POST /api/keys',
      'POST /api/keys/{key_id}/rotate',
    ]);
  });

  it('documents the failures that each call can have', () => {
    const statuses = Object.fromEntries(
      operations().map(({ call, operation }) => [call, Object.keys(operation.responses).join(' ')]),
    );
    expect(statuses).toEqual({
      'POST /api/keys': '201 401 403 404 409 413 415 421 422 429 503',
      'GET /api/keys': '200 304 401 421 422 503',
      'DELETE /api/keys/{key_id}': '200 401 403 404 413 415 421 422 503',
      'POST /api/keys/{key_id}/rotate': '201 401 403 404 409 413 415 421 422 429 503',
      'GET /api/workflows': '200 401 421 503',
      'GET /api/openapi.json': '200',
    });
  });

  it('says Retry-After wherever it is sent', () => {
    for (const { call, operation } of operations()) {
      for (const [status, answer] of Object.entries(operation.responses)) {
        const named = 'Retry-After' in (answer.headers ?? {});
        expect({ call, status, named }).toEqual({ call, status, named: status === '429' || status === '503' });
      }
    }
  });

  it('names the session cookie that is configured', () => {
    expect(document.components.securitySchemes).toMatchObject({
      session: { type: 'apiKey', in: 'cookie', name: 'session' },
    });
  });

  it('says which body may be left out', () => {
    expect(document.paths['/api/keys']?.post?.requestBody?.required).toBe(true);
    expect(document.paths['/api/keys/{key_id}/rotate']?.post?.requestBody?.required).toBe(false);
    expect(JSON.stringify(document)).not.toContain('x-optional-body');
  });

  it('has an example of every answer, and none that breaks its own schema', () => {
    let checked = 0;
    for (const { call, operation } of operations()) {
      if (call === 'GET /api/openapi.json') continue;
      const answers = Object.entries(operation.responses).map(([status, { content = {} }]) => ({ status, content }));
      for (const { status, content } of [
        ...answers,
        { status: 'request', content: operation.requestBody?.content ?? {} },
      ]) {
        for (const media of Object.values(content)) {
          const schema = selfContained(media.schema);
          const examples = examplesOf(media, schema);
          expect({ call, status, examples: examples.length > 0 }).toEqual({ call, status, examples: true });
          for (const example of examples) {
            expect({ call, status, errors: Compile(schema).Errors(example) }).toEqual({ call, status, errors: [] });
            checked++;
          }
        }
      }
    }
    expect(checked).toBeGreaterThan(30);
  });
});

/** Examples of an answer itself, or of the schema (for a list: of its items) that it refers to. */
function examplesOf(media: Media, schema: { examples?: unknown[]; items?: { examples?: unknown[] } }): unknown[] {
  if (media.example !== undefined) return [media.example];
  if (media.examples !== undefined) return Object.values(media.examples).map(({ value }) => value);
  if (schema.examples !== undefined) return schema.examples;
  return (schema.items?.examples ?? []).map((item) => [item]);
}
