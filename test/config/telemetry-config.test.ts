import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.js';
import { describeProblem, type Environment, parseCommandConfig, type TelemetryConfig } from '../../src/config.js';

function telemetryOf(env: Environment): TelemetryConfig | null {
  const parsed = parseCommandConfig(env);
  if ('problems' in parsed) throw new Error(parsed.problems.map(describeProblem).join('\n'));
  return parsed.config.telemetry;
}

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' };

describe('telemetry', () => {
  it.each([
    ['nothing is said', {}],
    ['the endpoint is empty, as platforms write what is unset', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
    ['only a name is given', { OTEL_SERVICE_NAME: 'keys' }],
    ['it is disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }],
    ['it is disabled in capitals', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }],
    ['nothing is to be exported', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }],
  ])('is off when %s', (_, env) => {
    expect(telemetryOf(env)).toBeNull();
  });

  it('goes to the paths of OTLP under one endpoint', () => {
    expect(telemetryOf(ENDPOINT)).toEqual({
      serviceName: 'latchkey',
      resourceAttributes: {},
      headers: {},
      traces: { url: 'http://collector:4318/v1/traces', sampler: 'parentbased_always_on', ratio: 1 },
      metrics: { url: 'http://collector:4318/v1/metrics', intervalMs: 60_000 },
    });
  });

  it('takes an empty variable for one that is unset, as the specification of OpenTelemetry has it', () => {
    const variables = Object.values(SETTINGS).map(({ variable }) => variable);
    const empty = Object.fromEntries(variables.filter((name) => name.startsWith('OTEL_')).map((name) => [name, '']));
    expect(telemetryOf(empty)).toBeNull();
    expect(telemetryOf({ ...empty, ...ENDPOINT })).toEqual(telemetryOf(ENDPOINT));
  });

  it('can be of one kind alone, at a URL of its own', () => {
    const url = 'https://traces.example/otlp';
    expect(telemetryOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url })).toMatchObject({ traces: { url }, metrics: null });
    expect(telemetryOf({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' })).toMatchObject({ traces: null });
  });

  it('takes headers and attributes in percent-encoding', () => {
    const env = {
      OTEL_EXPORTER_OTLP_HEADERS: 'a=b%20c , authorization=Bearer%20x%3D%3D',
      OTEL_RESOURCE_ATTRIBUTES: 'k=v',
    };
    expect(telemetryOf({ ...ENDPOINT, ...env })).toMatchObject({
      headers: { a: 'b c', authorization: 'Bearer x==' },
      resourceAttributes: { k: 'v' },
    });
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'ftp://collector'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'hunter2'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz-hunter2'],
    ['OTEL_TRACES_SAMPLER', 'sometimes'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '1s'],
  ])('is refused with %s=%s, without showing a secret', (variable, value) => {
    const parsed = parseCommandConfig({ [variable]: value });
    const problems = 'problems' in parsed ? parsed.problems : [];
    expect(problems.map((each) => each.variable)).toEqual([variable]);
    if (value.includes('hunter2')) expect(problems.map(describeProblem).join()).not.toContain('hunter2');
  });

  it.each(['0', '1', '0.25', '.5', '1.0'])('takes the share %s', (share) => {
    expect(telemetryOf({ ...ENDPOINT, OTEL_TRACES_SAMPLER_ARG: share })?.traces?.ratio).toBe(Number(share));
  });
});
