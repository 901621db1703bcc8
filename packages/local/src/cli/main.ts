/** The bin `cdk-localhost`: finds the command, and says clearly what is wrong with how it was called. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import * as path from 'node:path';
import { checkDeployment } from './check-deployment';
import { type Command, UsageError } from './command';
import { doctor } from './doctor';
import { invoke } from './invoke';
import { logs } from './logs';
import { up } from './up';
import { webhookRun } from './webhook-run';

const COMMANDS: Record<string, Command> = {
  up,
  invoke,
  logs,
  doctor,
  'check-deployment': checkDeployment,
  'webhook-run': webhookRun,
  ...addedCommands(),
};

/** Programs that were put beside this one when it was built: they know what it does not, such as a git host's protocol. */
function addedCommands(): Record<string, Command> {
  const folder = path.join(__dirname, 'commands');
  if (!existsSync(folder)) return {};
  return Object.fromEntries(
    readdirSync(folder)
      .filter(file => file.endsWith('.js'))
      .map(file => [
        path.basename(file, '.js'),
        {
          summary: `see cdk-localhost ${path.basename(file, '.js')} --help`,
          usage: '',
          run: args =>
            new Promise((resolve, reject) => {
              const child = spawn(process.execPath, [path.join(folder, file), ...args], { stdio: 'inherit' });
              child.once('error', reject);
              child.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)));
            }),
        } satisfies Command,
      ]),
  );
}

const usage = () => `Runs the serverless part of any CDK app on localhost, with the permissions it would have.

  cdk-localhost COMMAND [--help]

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(18)}${summary}`)
  .join('\n')}

  completion        prints a completion script for bash and zsh: source <(cdk-localhost completion)
                    and for fish: cdk-localhost completion fish | source
`;

const completion = () => `_cdk_localhost() {
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${Object.keys(COMMANDS).join(' ')}" -- "\${COMP_WORDS[1]}"))
  else COMPREPLY=($(compgen -f -W "$(cdk-localhost "\${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)" -- "\${COMP_WORDS[COMP_CWORD]}")); fi
}
[ -n "$ZSH_VERSION" ] && autoload -U +X bashcompinit && bashcompinit
complete -F _cdk_localhost cdk-localhost
`;

const fishCompletion = () => `function __cdk_localhost_options
  set -l words (commandline -opc)
  cdk-localhost $words[2] --help 2>/dev/null | string match -ra -- '--[a-z-]+' | sort -u
end
complete -c cdk-localhost -n __fish_use_subcommand -f -a '${Object.keys(COMMANDS).join(' ')}'
complete -c cdk-localhost -n 'not __fish_use_subcommand' -a '(__cdk_localhost_options)'
`;

export async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(usage());
    return name === undefined ? 2 : 0;
  }
  if (name === 'completion') {
    process.stdout.write(args[0] === 'fish' ? fishCompletion() : completion());
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`There is no command ${name}. There are: ${Object.keys(COMMANDS).join(', ')}\n`);
    return 2;
  }
  if (command.usage && (args.includes('--help') || args.includes('-h'))) {
    process.stdout.write(command.usage);
    return 0;
  }
  try {
    return await command.run(args);
  } catch (error) {
    const { code, message, stack } = error as NodeJS.ErrnoException;
    const ofUsage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`${process.env.DEBUG ? stack : message}\n`);
    if (ofUsage) process.stderr.write(`See: cdk-localhost ${name} --help\n`);
    return ofUsage ? 2 : 1;
  }
}
