import { METRIC, type Verb } from '../../../src/unique-code-table/contract';
import { importCodes } from '../core/import';
import { timestamp } from '../core/input';
import { issueCodes, type IssuePorts, parseIssue, type Tally } from '../core/issue';
import { Refusal } from '../core/refusal';
import type { VerbHandler } from '../handler';

/** The verbs that make codes: the status of each answer, and what is counted besides `Done` and `Refused`. */
export function issuingVerbs(
  ports: IssuePorts,
): Readonly<Record<Extract<Verb, 'issue' | 'import'>, VerbHandler>> {
  return {
    issue: issueHandler(ports),
    import: async (input, caller) => {
      const { codes, repeated, expiresOn } = await importCodes(input, caller, ports);
      return {
        status: repeated ? 200 : 201,
        body: { codes, expiresOn },
        repeated,
        log: { count: codes.length },
        metrics: { [METRIC.codesImported]: repeated ? 0 : codes.length },
      };
    },
  };
}

function issueHandler(ports: IssuePorts): VerbHandler {
  return async (input, caller, measure) => {
    const now = Math.floor(ports.clock.now() / 1000);
    const request = parseIssue(input, ports.rules, caller.http, now);
    const tally: Tally = { attempts: 0, draws: 0, collisions: 0 };
    const counted = (issued: number, exhausted: number) => ({
      [METRIC.codesIssued]: issued,
      [METRIC.attempts]: tally.attempts,
      [METRIC.draws]: tally.draws,
      [METRIC.collisions]: tally.collisions,
      [METRIC.exhausted]: exhausted,
    });
    try {
      const { codes, repeated, expiresOn } = await issueCodes(request, caller, ports, tally);
      const life = expiresOn === undefined ? {} : { expiresOn: timestamp(expiresOn) };
      return {
        status: 201, // also of a repeat: the same answer
        body: request.count === undefined ? { code: codes[0], ...life } : { codes, ...life },
        repeated,
        log: { count: codes.length, ...tally },
        metrics: counted(repeated ? 0 : codes.length, 0),
      };
    } catch (error) {
      measure(counted(0, error instanceof Refusal && error.name === 'CodeSpaceExhausted' ? 1 : 0));
      throw error;
    }
  };
}
