import { type CommandConfig, parseCommandConfig } from '../config.js';
import { jsonLogger } from '../observability/json-logger.js';
import type { Logger } from '../ports/logger.js';
import type { CliContext } from './cli-context.js';
import { ConfigFailure } from './cli-failure.js';

/** The configuration of a command that serves nobody. Throws a {@link ConfigFailure}. */
export function commandConfig(context: CliContext): CommandConfig {
  const parsed = parseCommandConfig(context.env);
  if ('problems' in parsed) throw new ConfigFailure(parsed.problems);
  return parsed.config;
}

/** A logger for a command: of what it does the outcome tells, so that warnings are enough unless more is asked for. */
export function commandLogger(context: CliContext, config: CommandConfig): Logger {
  const asked = context.env.LATCHKEY_LOG_LEVEL !== undefined;
  return jsonLogger(asked ? config.logLevel : 'warn', context.log);
}
