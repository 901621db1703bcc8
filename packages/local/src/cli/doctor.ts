import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openApp } from './app';
import type { Command } from './command';
import { findRun } from './run-file';
import { readAssembly } from '../template/assembly';
import { listen } from '../util/server';

export const doctor: Command = {
  summary: 'check that everything needed to run an app is there',
  usage: `Checks what \`up\` needs, and says how to mend what is missing. Exit status 1 where something is.

  cdk-localhost doctor

  --app WHAT        as for \`up\`
`,
  run: async args => {
    const { values } = parseArgs({ args, options: { app: { type: 'string' } } });
    let isWell = true;
    const check = async (what: string, look: () => Promise<string> | string) => {
      try {
        process.stdout.write(`ok       ${what}: ${await look()}\n`);
      } catch (error) {
        isWell = false;
        process.stdout.write(`missing  ${what}: ${(error as Error).message}\n`);
      }
    };
    await check('Node.js', () => {
      const [major, minor] = process.versions.node.split('.').map(Number);
      if (major < 20 || (major === 20 && minor < 19)) {
        throw new Error(`this is ${process.version}; take 20.19 or later`);
      }
      return process.version;
    });
    await check('servers on 127.0.0.1', async () => {
      const server = await listen(async (_, response) => void response.end());
      await server.close();
      return 'can be opened';
    });
    await check('child processes', () => {
      const { status, stderr } = spawnSync(process.execPath, ['-e', ''], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`Node.js cannot start itself: ${stderr}`);
      return 'can be started';
    });
    await check('the app', async () => {
      const app = await openApp(values.app, line => void process.stderr.write(`${line}\n`));
      try {
        const { stacks } = readAssembly(app.assembly);
        return `${stacks.length} ${stacks.length === 1 ? 'stack' : 'stacks'}: ${stacks.map(({ id }) => id).join(', ')}`;
      } finally {
        app.dispose();
      }
    });
    process.stdout.write(`         running here: ${findRun()?.page ?? 'nothing'}\n`);
    if (!existsSync('node_modules')) {
      process.stdout.write('         there is no node_modules here: run npm install\n');
    }
    return isWell ? 0 : 1;
  },
};
