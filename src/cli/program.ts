/** Every command with its options, help and examples; what they do stands in commands/. */
import { Argument, Command, Option } from 'commander';
import { type Setting, sidecarSettings } from '../tenants/index.ts';
import { ADMIN } from './ask-admin.ts';
import { COLLECTOR } from './ask-collector.ts';
import { collectorSettings } from './collector-settings.ts';
import { version } from './version.ts';

const output = () => new Option('-o, --output <form>', 'how to print').choices(['text', 'json']).default('text');
const admin = () => new Option('--admin <url>', 'admin API of a running sidecar').default(ADMIN);
const tenancy = () => new Option('--tenancy <dir>', 'read a directory instead of asking a sidecar');
/** Shown in help and completion; the command itself judges, and says what was meant. */
const oneOf = (name: string, description: string, words: readonly string[]) =>
  new Argument(name, description).choices(words).argParser((word) => word);
const examples = (...lines: string[]) => `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;

export function buildProgram(): Command {
  const program = new Command('reeve')
    .description('A tenant-aware sidecar: verified tenant on every request, local limits, hot YAML, Prometheus out.')
    .version(version, '-V, --version')
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'reeve: ')) })
    .addHelpText(
      'after',
      `${examples('reeve demo --once', 'reeve run --tenancy config/tenancy --app-port 8080 -- node app.js')}\n\nExit codes: 0 good, 1 findings, 2 usage, 3 unreachable.`,
    );
  addRunning(program);
  addConfig(program);
  addAsking(program);
  addUsage(program);
  addWal(program);
  addOwn(program);
  return finished(program, 'reeve');
}

/** Each command names its own help after an error, and throws where commander would exit: the codes are ours. */
function finished(command: Command, path: string): Command {
  command.exitOverride().showHelpAfterError(`(try \`${path} --help\`)`);
  for (const each of command.commands) finished(each, `${path} ${each.name()}`);
  return command;
}

function addRunning(program: Command): void {
  program
    .command('demo')
    .description('two services, a sidecar before each, three plans and a flood: the main job on real traffic')
    .option('--once', 'check every number and exit')
    .addOption(
      new Option('-o, --output <form>', 'how to print; json implies --once').choices(['text', 'json']).default('text'),
    )
    .addHelpText('after', examples('reeve demo', 'reeve demo --once -o json'))
    .action(async (options) => (await import('./demo/demo.ts')).demo(options));
  const sidecar = program
    .command('sidecar')
    .description('the data plane beside one service')
    .option('--config <file>', 'boot file (kind: Sidecar)')
    .addHelpText(
      'after',
      examples(
        'reeve sidecar --config /etc/reeve/sidecar.yaml',
        'reeve sidecar --upstream http://127.0.0.1:8080 --tenancy-dir config/tenancy',
      ),
    )
    .action(async (options) => (await import('./commands/sidecar.ts')).sidecar(options));
  for (const setting of sidecarSettings) sidecar.addOption(optionOf(setting));
  const collector = program
    .command('collector')
    .description('the central meter: takes what sidecars record, and answers what tenants used')
    .option('--config <file>', 'a YAML file of these settings (REEVE_COLLECTOR_CONFIG)')
    .option('--rebuild', 'make all sums anew from the ledger first')
    .option('--trust-clock', 'the clock is right though it jumped: delete at once what is due by it')
    .addHelpText(
      'after',
      examples(
        'reeve collector --dir /var/lib/reeve-collector',
        'reeve collector --config collector.yaml --grpc-host 0.0.0.0',
      ),
    )
    .action(async (options) => (await import('./commands/collector.ts')).collector(options));
  for (const { flag, kind, description, preset, env } of collectorSettings)
    collector.addOption(
      new Option(`${flag} <${kind}>`, `${description}${preset === undefined ? '' : ` [${preset}]`} (${env})`),
    );
  program
    .command('run')
    .description('a sidecar and an application in one terminal')
    .option('--app-port <port>', 'where the application listens (8080, unless the boot file says)')
    .option('--tenancy <dir>', 'tenancy directory')
    .option('--config <file>', 'boot file (kind: Sidecar)')
    .argument('<command...>', 'the application, behind --')
    .addHelpText(
      'after',
      examples(
        'reeve run --tenancy config/tenancy --app-port 3000 -- npm run dev',
        'reeve run --config sidecar.yaml -- python app.py',
      ),
    )
    .action(async (command, options) => (await import('./commands/run.ts')).run(command, options));
}

/** Every setting of the boot file is a flag; the variable of the same name is read too. */
function optionOf({ flag, type, description, env, ...rest }: Setting): Option {
  const preset = rest.default === undefined ? '' : ` [${String(rest.default)}]`;
  return new Option(`${flag}${type === 'flag' ? ' [bool]' : ` <${type}>`}`, `${description}${preset} (${env})`);
}

function addConfig(program: Command): void {
  const config = program
    .command('config')
    .description('check, compare and explain configuration')
    .addHelpText('after', examples('reeve config validate config/tenancy', 'reeve config explain Plan.spec.degrade'));
  config
    .command('validate')
    .description('read a tenancy directory and boot files as a sidecar would; exit 1 on errors')
    .argument('<paths...>', 'directories of tenancy documents, or boot files')
    .addOption(output())
    .addHelpText(
      'after',
      examples(
        'reeve config validate config/tenancy',
        'reeve config validate config/sidecar.yaml config/tenancy -o json',
      ),
    )
    .action(async (paths, options) => (await import('./commands/config.ts')).validate(paths, options));
  config
    .command('diff')
    .description(
      'what one tenancy directory says that another did not; exit 1 when they differ, 2 when one of them has errors',
    )
    .argument('<before>')
    .argument('<after>')
    .addOption(output())
    .addHelpText('after', examples('reeve config diff live/ next/', 'reeve config diff live/ next/ -o json'))
    .action(async (before, after, options) => (await import('./commands/config.ts')).diff(before, after, options));
  config
    .command('schema')
    .description('the JSON schema of a kind, for editors')
    .addArgument(
      oneOf('[kind]', 'tenancy is all but the first', [
        'Sidecar',
        'Plan',
        'Tenant',
        'IdentityProvider',
        'Route',
        'tenancy',
      ]).default('tenancy'),
    )
    .addOption(new Option('-o, --output <form>', 'how to print').choices(['json']).default('json'))
    .addHelpText('after', examples('reeve config schema Tenant', 'reeve config schema > .vscode/reeve.json'))
    .action(async (kind) => (await import('./commands/explain.ts')).schema(kind));
  config
    .command('explain')
    .description('what a key means')
    .argument('<key>', 'such as Plan.spec.rate.requests.limit, Collector.grpc.port')
    .addOption(output())
    .addHelpText('after', examples('reeve config explain Tenant', 'reeve config explain Plan.spec.degrade'))
    .action(async (key, options) => (await import('./commands/explain.ts')).explain(key, options));
}

function addAsking(program: Command): void {
  const tenants = program
    .command('tenants')
    .description('tenants, of a running sidecar or of a directory')
    .addHelpText('after', examples('reeve tenants list', 'reeve tenants get acme -o json'));
  tenants
    .command('list')
    .description('name, plan and state of every tenant')
    .addOption(tenancy())
    .addOption(admin())
    .addOption(output())
    .addHelpText('after', examples('reeve tenants list', 'reeve tenants list --tenancy config/tenancy -o json'))
    .action(async (options) => (await import('./commands/tenants.ts')).list(options));
  tenants
    .command('get')
    .description('one tenant with its effective limits')
    .argument('<name>')
    .addOption(tenancy())
    .addOption(admin())
    .addOption(output())
    .addHelpText('after', examples('reeve tenants get acme -o json', 'reeve tenants get acme --tenancy config/tenancy'))
    .action(async (name, options) => (await import('./commands/tenants.ts')).get(name, options));
  const limits = program
    .command('limits')
    .description('limits of a running sidecar')
    .addHelpText('after', examples('reeve limits check acme', 'reeve limits check acme --path /exports/1 -o json'));
  limits
    .command('check')
    .description(
      'explain a decision: who decides identity, which route and limits, what is left, what it gets; spends nothing',
    )
    .argument('<tenant>')
    .option('--method <method>', 'of the request', 'GET')
    .option('--path <path>', 'of the request', '/')
    .addOption(admin())
    .addOption(output())
    .addHelpText(
      'after',
      examples('reeve limits check acme', 'reeve limits check acme --method POST --path /exports/1'),
    )
    .action(async (tenant, options) => (await import('./commands/limits.ts')).checkLimits(tenant, options));
  limits
    .command('watch')
    .description('what is left of a limit, and who takes which share, a line each interval')
    .argument('<tenant>')
    .option('--interval <time>', 'between two lines', '1s')
    .option('--count <n>', 'lines, then end')
    .addOption(admin())
    .addOption(output())
    .addHelpText('after', examples('reeve limits watch acme', 'reeve limits watch acme --interval 250ms --count 20'))
    .action(async (tenant, options) => (await import('./commands/limits.ts')).watchLimits(tenant, options));
  const gossip = program
    .command('gossip')
    .description('the fleet a running sidecar takes part in')
    .addHelpText('after', examples('reeve gossip members', 'reeve gossip watch'));
  gossip
    .command('members')
    .description(
      'who takes part, as this sidecar knows it; LISTED: whether the seeds name its address, `-`: they name some',
    )
    .addOption(admin())
    .addOption(output())
    .addHelpText('after', examples('reeve gossip members', 'reeve gossip members -o json'))
    .action(async (options) => (await import('./commands/gossip.ts')).members(options));
  gossip
    .command('watch')
    .description('who comes, is doubted, dies and leaves, a line each')
    .option('--count <n>', 'looks, one a second, then end')
    .addOption(admin())
    .addOption(output())
    .addHelpText('after', examples('reeve gossip watch', 'reeve gossip watch -o json'))
    .action(async (options) => (await import('./commands/gossip.ts')).watch(options));
  program
    .command('check')
    .description('pre-flight of files and machine, and a look at a running sidecar; exit 1 on errors')
    .option('--config <file>', 'boot file to check')
    .option('--tenancy <dir>', 'tenancy directory to check')
    .option('--live', 'ask the running sidecar too')
    .option('--strict', 'exit 1 on warnings too')
    .option('--admin <url>', `its admin API; default: that of --config, else ${ADMIN}`)
    .addOption(output())
    .addHelpText('after', examples('reeve check --config config/sidecar.yaml', 'reeve check --live --strict -o json'))
    .action(async (options) => (await import('./commands/check.ts')).check(options));
}

function addUsage(program: Command): void {
  const collector = () => new Option('--collector <url>', 'API of a running collector').default(COLLECTOR);
  const token = () => new Option('--token-file <file>', 'a file with a token for reading');
  const form = (...forms: string[]) =>
    new Option('-o, --output <form>', 'how to print').choices(forms).default('table');
  const range = (command: Command): Command =>
    command
      .option('--last <time>', 'from so long ago until now, such as 30d')
      .option('--from <time>', 'begin: a date, a time with its zone, or how long ago [30d; by minutes 1d]')
      .option('--to <time>', 'end, not with it [now]')
      .addOption(collector())
      .addOption(token());
  const usage = program
    .command('usage')
    .description('what tenants used, as a collector knows it')
    .addHelpText('after', examples('reeve usage show acme --last 30d --by service', 'reeve usage top'));
  range(usage.command('show', { isDefault: true }))
    .description('usage of one tenant, or of all; `reeve usage acme` is short for it')
    .argument('[tenant]')
    .option(
      '--by <list>',
      'some of tenant, service, route, upstream, operation, outcome, method, status, and one of 1m, 1h, 1d',
    )
    .option('--meter <name>', "requests, bytes_in, bytes_out, compute_ms, upstream_ms, or the application's own")
    .option('--service <name>', 'only of this service')
    .option('--route <name>', 'only of this route')
    .option('--operation <name>', 'only of what began as this, SERVICE/ROUTE')
    .option('--top <n>', 'only so many rows, the largest; needs --meter')
    .addOption(form('table', 'json', 'csv'))
    .addHelpText(
      'after',
      examples('reeve usage acme --last 30d --by service', 'reeve usage show --by tenant,1d --meter requests -o csv'),
    )
    .action(async (tenant, options) => (await import('./commands/usage.ts')).show(tenant, options));
  usage
    .command('top')
    .description('who uses most now, again and again on a terminal')
    .option('--by <list>', 'some of tenant, service, route, upstream, operation, outcome, method, status', 'tenant')
    .option('--meter <name>', 'by which', 'requests')
    .option('--last <time>', '1s to 120s', '10s')
    .option('--limit <n>', 'rows', '20')
    .option('--interval <time>', 'between two pictures', '1s')
    .option('--count <n>', 'pictures, then end')
    .addOption(collector())
    .addOption(token())
    .addOption(form('table', 'json'))
    .addHelpText('after', examples('reeve usage top', 'reeve usage top --by tenant,route --meter bytes_out --count 1'))
    .action(async (options) => (await import('./commands/usage.ts')).top(options));
  range(usage.command('reconcile'))
    .description('both sides of each hop against each other, hour by hour; exit 1 when they differ')
    .addOption(form('table', 'json'))
    .addHelpText(
      'after',
      examples('reeve usage reconcile --last 1d', 'reeve usage reconcile --from 2026-11-01 -o json'),
    )
    .action(async (options) => (await import('./commands/usage.ts')).reconcile(options));
  range(usage.command('export'))
    .description('all rows of the hours, as a file')
    .addOption(new Option('--format <form>', 'of the file').choices(['csv', 'ndjson', 'parquet']).default('csv'))
    .option('--file <path>', 'where to [standard output]')
    .addHelpText(
      'after',
      examples(
        'reeve usage export --from 2026-11-01 --to 2026-12-01 > november.csv',
        'reeve usage export --format parquet --file usage.parquet',
      ),
    )
    .action(async (options) => (await import('./commands/usage.ts')).exported(options));
  usage
    .command('spools')
    .description('every spool: how far it is told, and whether windows wait for it')
    .addOption(collector())
    .addOption(token())
    .addOption(form('table', 'json'))
    .addHelpText('after', examples('reeve usage spools', 'reeve usage spools -o json'))
    .action(async (options) => (await import('./commands/usage.ts')).spools(options));
  usage
    .command('write-off')
    .description('nothing more comes of a spool: no window waits for it any more')
    .argument('<spool>', 'its id, as `reeve usage spools` prints it')
    .addOption(collector())
    .addOption(token())
    .addOption(form('table', 'json'))
    .addHelpText(
      'after',
      examples('reeve usage write-off 6a1f…', 'reeve usage write-off 6a1f… --collector http://collector:15011'),
    )
    .action(async (spool, options) => (await import('./commands/usage.ts')).writeOff(spool, options));
}

function addWal(program: Command): void {
  const wal = program
    .command('wal')
    .description('logs on disk: spools and ledgers')
    .addHelpText('after', examples('reeve wal inspect /var/lib/reeve/spool', 'reeve wal inspect spool -o json'));
  wal
    .command('inspect')
    .description('segments, frames and damage, also while the owner runs; changes nothing; exit 1 on damage')
    .argument('<dir>', 'directory of a spool or a ledger')
    .option('--records <n>', 'show the last so many records, up to 10000', '0')
    .addOption(
      new Option('-o, --output <form>', 'how to print; table: also into a pipe')
        .choices(['text', 'json', 'table'])
        .default('text'),
    )
    .addHelpText(
      'after',
      examples('reeve wal inspect /var/lib/reeve/spool', 'reeve wal inspect ledger --records 20 -o table'),
    )
    .action(async (dir, options) => (await import('./commands/wal.ts')).inspect(dir, options));
}

function addOwn(program: Command): void {
  program
    .command('completion')
    .description('a completion script for the shell')
    .addArgument(oneOf('<shell>', 'whose script', ['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      examples(
        'reeve completion bash > /etc/bash_completion.d/reeve',
        'reeve completion fish > ~/.config/fish/completions/reeve.fish',
      ),
    )
    .action(async (shell) => (await import('./commands/completion.ts')).completion(shell, program));
  program
    .command('version')
    .description('the version of reeve and of Node')
    .addOption(output())
    .addHelpText('after', examples('reeve version', 'reeve version -o json'))
    .action(({ output: form }) => {
      process.stdout.write(
        form === 'json'
          ? `${JSON.stringify({ reeve: version, node: process.version })}\n`
          : `reeve ${version}, node ${process.version}\n`,
      );
    });
}
