import { parseArgs } from 'node:util';
import type { Command } from './command';
import { readable } from './log-line';
import { runningUp } from './run-file';
import type { JournalRecord } from '../journal';
import { onEndAsked } from '../util/signals';

export const logs: Command = {
  summary: 'the logs of what runs, by function or request',
  usage: `Prints what the functions of the running \`up\` have logged.

  cdk-localhost logs                    of all functions
  cdk-localhost logs FUNCTION …         of some

  --follow, -f        go on until Ctrl-C
  --request ID        of one invocation
  --json              the records as JSON lines
`,
  run: async args => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        follow: { type: 'boolean', short: 'f' },
        request: { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    const { page, token } = runningUp();
    const print = (record: JournalRecord) => {
      if (record.kind !== 'log') return;
      if (positionals.length > 0 && !positionals.includes(record.source)) return;
      if (values.request !== undefined && record.invocation !== values.request) return;
      const time = new Date(record.at).toISOString().slice(11, 23);
      process.stdout.write(
        values.json ? `${JSON.stringify(record)}\n` : `${time} ${record.source} | ${readable(record.line)}\n`,
      );
    };
    const headers = { 'x-token': token };
    const snapshot = (await (await fetch(`${page}/api/snapshot`, { headers })).json()) as {
      seq: number;
      records: JournalRecord[];
    };
    snapshot.records.forEach(print);
    if (!values.follow) return 0;
    const stopping = new AbortController();
    onEndAsked(() => stopping.abort());
    try {
      const stream = await fetch(`${page}/api/events?after=${snapshot.seq}`, {
        headers,
        signal: stopping.signal,
      });
      let buffer = '';
      for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
        const parts = (buffer + chunk).split('\n\n');
        buffer = parts.pop()!;
        for (const part of parts) {
          const data = /^data: (.*)$/m.exec(part)?.[1];
          if (data) print(JSON.parse(data) as JournalRecord);
        }
      }
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    }
    return 0;
  },
};
