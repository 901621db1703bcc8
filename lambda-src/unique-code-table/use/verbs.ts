import type { Verb } from '../../../src/unique-code-table/contract';
import { list, type ListPorts, lookUp, type ReadPorts, validate } from '../core/read';
import { redeem, reinstate, revoke, rollBack, type UpdatePorts } from '../core/redeem';
import type { VerbHandler } from '../handler';

/** The verbs that read and change codes: the status of each answer. */
export function usingVerbs(
  ports: UpdatePorts & ReadPorts & ListPorts,
): Readonly<Record<Exclude<Verb, 'issue' | 'import'>, VerbHandler>> {
  const changed =
    (status: number, change: typeof redeem | typeof rollBack): VerbHandler =>
    async (input, caller) => {
      const { body, repeated } = await change(input, caller, ports);
      return { status: repeated ? 200 : status, body, repeated };
    };
  return {
    validate: async (input, caller) => ({ status: 200, body: await validate(input, caller, ports) }),
    lookUp: async (input, caller) => ({ status: 200, body: await lookUp(input, caller, ports) }),
    list: async (input, caller) => ({ status: 200, body: await list(input, caller, ports) }),
    redeem: changed(201, redeem),
    rollBack: changed(200, rollBack),
    revoke: changed(200, revoke),
    reinstate: changed(200, reinstate),
  };
}
