import { Argument, Command, Option } from 'commander';
import type { CliContext } from './cli-context.js';
import { completionScript, SHELLS, type Shell } from './completion.js';
import { done, type Outcome } from './outcome.js';
import type { ProbeOptions } from './probe.js';
import { settingsHelp } from './settings-help.js';
import { version } from './version.js';

/** What the flags shared by all commands say. */
export interface CommonOptions {
  readonly json?: boolean;
}

/** Runs one command and hands its outcome over. */
export type Report = (outcome: Outcome, options: CommonOptions) => void;

const EXIT_CODES = `
Exit codes:
  0  done; check: granted; doctor, probe: nothing is wrong
  1  it could not be done, or something is wrong
  2  the command or the configuration is wrong; nothing was tried
  3  check: denied
  4  the change is made, but not yet proven to be enforced everywhere: repeat the command`;

const KEY_ID = new Argument('<key-id>', 'id of the key, as in keys list');

/**
 * The command line. The modules that do the work are loaded by the command that needs them, so that \`--help\` and
 * completion answer at once.
 */
export function createProgram(context: CliContext, report: Report): Command {
  const program = new Command('latchkey')
    .description(
      'API-key authorization sidecar: decides from memory, and a revocation once confirmed holds everywhere.',
    )
    .version(version(), '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Explain the command')
    .helpCommand('help [command]', 'Explain a command')
    .showHelpAfterError('(latchkey --help lists the commands)')
    .addHelpText('after', EXIT_CODES);

  command(program, 'serve')
    .summary('Answer decisions until told to stop')
    .description(
      'Answer decisions until told to stop.\n\nWithout DATABASE_URL it starts a PostgreSQL of its own, kept in .latchkey, and listens on loopback only.',
    )
    .option('--check-config', 'Only read the configuration and its files, and say what is wrong with them')
    .addHelpText('after', () => `\n${settingsHelp()}`)
    .action(async (options: CommonOptions & { checkConfig?: boolean }) => {
      const { serve } = await import('./serve.js');
      report(await serve(context, options.checkConfig === true), options);
    });

  command(program, 'migrate')
    .summary('Bring the database to the schema of this version')
    .description('Bring the database to the schema of this version. Safe to run several times and at the same time.')
    .option('--plan', 'Only print what would be done')
    .action(async (options: CommonOptions & { plan?: boolean }) => {
      const { migrate } = await import('./migrate.js');
      report(await migrate(context, options.plan === true), options);
    });

  const keys = program
    .command('keys')
    .summary('Create, list, rotate and revoke keys')
    .description('Create, list, rotate and revoke keys.')
    .helpCommand('help [command]', 'Explain a command');
  addKeyCommands(keys, context, report);

  command(program, 'check')
    .summary('Ask whether a key may call a method on a workflow')
    .description(
      'Ask whether a key may call a method on a workflow, and print the decision.\n\nA running sidecar is asked; without one, the database is read. Give - as the key to have it read from standard input,\nwhere no list of processes shows it.',
    )
    .argument('<key>', 'the raw key, or - to read it from standard input')
    .argument('<workflow>', 'id of the workflow, or "" for none')
    .argument('<method>', 'name or alias of the method, such as nodes.getOutput')
    .option('--address <address>', 'the sidecar: host:port or unix:/path (default: the first in LATCHKEY_GRPC_ADDRESS)')
    .option('--tls-ca <file>', 'authority that signed its certificate; asks over TLS')
    .option('--tls-cert <file>', 'client certificate, for mTLS')
    .option('--tls-key <file>', 'private key of --tls-cert')
    .action(async (key: string, workflow: string, method: string, options: CommonOptions & Record<string, string>) => {
      const { check } = await import('./check.js');
      report(await check(context, { key, workflow, method, ...options }), options);
    });

  command(program, 'doctor')
    .summary('Try everything the sidecar depends on')
    .description('Try everything the sidecar depends on; say what is wrong and how to mend it.')
    .action(async (options: CommonOptions) => {
      const { doctor } = await import('./doctor/doctor.js');
      report(await doctor(context), options);
    });

  command(program, 'probe')
    .summary('Watch the guarantee from outside')
    .description(
      'Watch the guarantee from outside: create a key, have every target accept it, revoke it, and ask every target again\nas soon as the revocation is confirmed. Needs DATABASE_URL, as keys does. Ends after --count rounds, or when told to.',
    )
    .requiredOption('--targets <addresses>', 'sidecars to ask: host:port or unix:/path, separated by commas')
    .option('--count <n>', 'how many rounds (default: until told to stop)')
    .option('--interval <duration>', 'pause between rounds', '60s')
    .option('--account <account>', 'account of the keys', 'latchkey-probe')
    .option('--method <method>', 'method to ask about; one that needs no workflow', 'workflows.list')
    .option('--metrics-address <address>', 'where to serve /metrics (default: nowhere)')
    .option('--tls-ca <file>', 'authority that signed the certificates of the targets; asks over TLS')
    .option('--tls-cert <file>', 'client certificate, for mTLS')
    .option('--tls-key <file>', 'private key of --tls-cert')
    .action(async (options: CommonOptions & ProbeOptions) => {
      const { probe } = await import('./probe.js');
      report(await probe(context, options), options);
    });

  command(program, 'completion')
    .summary('Print a completion script for a shell')
    .description('Print a completion script: source <(latchkey completion bash)')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell: Shell, options: CommonOptions) => {
      const script = completionScript(program, shell);
      report(done({ shell, script }, script.trimEnd()), options);
    });

  return program;
}

function addKeyCommands(keys: Command, context: CliContext, report: Report): void {
  const account = () => new Option('--account <account>', 'whose keys; "dev" when unset on the embedded database');

  command(keys, 'create')
    .summary('Create a key and print it once')
    .description('Create a key and print it. It is not shown again.')
    .argument('<name>', 'what the key is for, as its owner will see it')
    .addOption(account())
    .option('--workflow <id>', 'the one workflow it may act on (default: all of the account)')
    .option('--permissions <list>', 'some of read,execute,write', 'read,execute,write')
    .option('--expires <when>', 'a date-time like 2030-01-31T00:00:00Z, or a duration like 30d (default: never)')
    .action(async (name: string, options: CommonOptions & Record<string, string>) => {
      const { createKey } = await import('./create-key.js');
      report(await createKey(context, { name, ...options }), options);
    });

  command(keys, 'list')
    .summary("List an account's keys, newest first")
    .description("List an account's keys, newest first. Keys of published apps are not among them.")
    .addOption(account())
    .option('--revoked', 'Include revoked keys')
    .action(async (options: CommonOptions & { account?: string; revoked?: boolean }) => {
      const { listKeys } = await import('./list-keys.js');
      report(await listKeys(context, options), options);
    });

  command(keys, 'revoke')
    .summary('Revoke a key everywhere')
    .description('Revoke a key and wait until it is proven that no sidecar anywhere accepts it; print the receipt.')
    .addArgument(KEY_ID)
    .action(async (keyId: string, options: CommonOptions) => {
      const { revokeKey } = await import('./revoke-key.js');
      report(await revokeKey(context, keyId), options);
    });

  command(keys, 'rotate')
    .summary('Replace a key by a new one')
    .description('Replace a key by a new one with the same name, scope, permissions and expiry, and print it once.')
    .addArgument(KEY_ID)
    .option('--overlap <duration>', 'how long the old key lives on, such as 24h; at most 7d', '0')
    .action(async (keyId: string, options: CommonOptions & { overlap: string }) => {
      const { rotateKey } = await import('./rotate-key.js');
      report(await rotateKey(context, keyId, options.overlap), options);
    });

  command(keys, 'history')
    .summary('Show who did what with a key')
    .description('Show who created, rotated and revoked a key, when and from where.')
    .addArgument(KEY_ID)
    .action(async (keyId: string, options: CommonOptions) => {
      const { showHistory } = await import('./show-history.js');
      report(await showHistory(context, keyId), options);
    });
}

/** A subcommand with what all of them have. */
function command(parent: Command, name: string): Command {
  return parent.command(name).option('--json', 'Print JSON instead of text');
}
