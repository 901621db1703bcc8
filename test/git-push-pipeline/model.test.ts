import { describe, expect, test } from 'vitest';
import type { StoredFacts } from '../../lambda-src/git-push-pipeline/core/metadata';
import {
  type CommitZip,
  ConditionFailed,
  type StoredZip,
} from '../../lambda-src/git-push-pipeline/core/ports';
import { publish, type PublishPorts } from '../../lambda-src/git-push-pipeline/core/publish';
import type { PushMessage } from '../../src/git-push-pipeline/contract';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

/*
 * Every order in which pushes, webhooks, workers and crashes can follow one another, tried out on the very
 * code of the work function: each of its questions to git and S3 is a step, and between any two steps
 * anything else may happen. What was searched once is not searched again (a state is the world, and what each
 * worker has been answered so far).
 */

/** A commit, and what the wanted files hold at it. */
type Commit = 'a1' | 'b1' | 'c2' | 'd3' | 'e2';
const wantedOf = (commit: string) => commit.slice(1);
const SOURCE = { address: parseAddress('https://git.test/acme/app'), ref: 'refs/heads/main' };
const DAWN = '2026-01-01T00:00:00Z';

interface Setting {
  /** What the ref holds, one after the other. */
  readonly pushes: readonly Commit[];
  readonly workers: number;
  readonly paths?: boolean;
  /** Webhooks come in any order, and are worked on in any order. */
  readonly reordered?: boolean;
  /** How many webhooks may never come. */
  readonly lost?: number;
  /** Whether the refs are compared with what is stored, once no push follows. */
  readonly reconcile?: boolean;
  /** How many workers may be killed. */
  readonly crashes?: number;
  readonly keyTemplate?: string;
}

interface Message {
  readonly delivery: string;
  readonly before?: string;
  readonly after?: string;
}

interface World {
  ref?: string;
  pushed: number;
  queue: Message[];
  lost: number;
  crashes: number;
  reconciled: boolean;
  stored?: StoredZip & { readonly facts: StoredFacts };
  /** Whether what is stored has been published. */
  told: boolean;
  /** Whether an older tip has replaced a newer one. */
  wentBack: boolean;
}

type Rule = (message: PushMessage, ports: PublishPorts) => Promise<unknown>;

const theRule: Rule = (message, ports) => publish(SOURCE, message, ports);

/**
 * Before: what the webhook says is published if it still is the tip, and a push that touches nothing wanted
 * is never queued.
 */
const formerRule: Rule = async ({ hint }, { git, store, tell, signal }) => {
  for await (const zip of git.zips(SOURCE, hint!.after, [{}])) {
    if ((await git.tip(SOURCE))?.id !== hint!.after) return;
    const metadata = { commit: zip.commitId };
    const stored = await store.put(zip.file, 'key', { metadata, replaces: '*', signal: signal() });
    await tell(stored as never);
  }
};

/** Without the condition: what is written replaces whatever is there. */
const withoutCondition: Rule = (message, ports) => {
  const { store } = ports;
  const put: typeof store.put = (file, key, options) => store.put(file, key, { ...options, replaces: '*' });
  return theRule(message, { ...ports, store: { ...store, put } });
};

/** Without asking where the ref stands once more when all is stored. */
const withoutLastLook: Rule = (message, ports) => {
  const { store } = ports;
  let last: ReturnType<typeof ports.git.tip> | undefined;
  let stored = false;
  const tip = () => (stored ? last! : (last = ports.git.tip(SOURCE)));
  const put: typeof store.put = (...parameters) => {
    stored = true;
    return store.put(...parameters);
  };
  return theRule(message, { ...ports, git: { ...ports.git, tip }, store: { ...store, put } });
};

/** Without asking again where the ref stands. */
const withoutSecondLook: Rule = (message, ports) => {
  let first: ReturnType<typeof ports.git.tip> | undefined;
  const git = { ...ports.git, tip: () => (first ??= ports.git.tip(SOURCE)) };
  return theRule(message, { ...ports, git });
};

class Worker {
  public message?: Message;
  public answers: string[] = [];
  private step?: () => void;
  private generation = 0;

  public constructor(
    private readonly world: World,
    private readonly setting: Setting,
    private readonly rule: Rule,
  ) {}

  public get waits(): boolean {
    return this.step !== undefined;
  }

  public async begin(message: Message): Promise<void> {
    this.message = message;
    this.answers = [];
    const generation = ++this.generation;
    const hint = message.after && { before: message.before ?? '0'.repeat(40), after: message.after };
    const told: PushMessage = {
      version: 2,
      kind: 'ref',
      repository: 'https://git.test/acme/app',
      ref: SOURCE.ref,
      deliveryId: message.delivery,
      receivedAt: DAWN,
      ...(hint && { hint }),
    };
    const over = (back: boolean) => {
      if (generation !== this.generation) return;
      this.message = undefined;
      if (back) this.world.queue.push(message);
    };
    this.rule(told, this.ports(generation)).then(
      () => over(false),
      () => over(true),
    );
    await this.settled();
  }

  /** Does what the worker asked for, and lets it go on to its next question. */
  public async advance(): Promise<void> {
    const { step } = this;
    this.step = undefined;
    step!();
    await this.settled();
  }

  public crash(): void {
    this.world.queue.push(this.message!);
    this.message = undefined;
    this.step = undefined;
    this.generation++;
  }

  private async settled(): Promise<void> {
    for (let n = 0; n < 1000 && this.message !== undefined && this.step === undefined; n++) await undefined;
  }

  private ports(generation: number): PublishPorts {
    const { world, setting } = this;
    const ask = <T>(what: string, answer: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        if (generation !== this.generation) return;
        this.step = () => {
          try {
            const value = answer();
            this.answers.push(`${what}:${JSON.stringify(value)}`);
            resolve(value);
          } catch (error) {
            this.answers.push(`${what}!`);
            reject(error as Error);
          }
        };
      });
    return {
      git: {
        tip: () =>
          ask('tip', () => (world.ref === undefined ? undefined : { id: world.ref, commit: world.ref })),
        protocol: () => Promise.reject(new Error('not asked for')),
        refs: () => Promise.reject(new Error('not asked for')),
        fingerprints: (_source, ids) => ask('fingerprints', () => ids.map(wantedOf)),
        directories: () => Promise.reject(new Error('not asked for')),
        async *zips(_source, id) {
          yield await ask(
            'zip',
            (): CommitZip => ({
              file: '',
              bytes: 0,
              entries: 0,
              part: {},
              commitId: id,
              commitTime: 0,
              message: '',
              fingerprint: wantedOf(id),
              lfsPointers: 0,
              skippedExtraFiles: [],
            }),
          );
        },
        close: () => undefined,
      },
      store: {
        bucket: 'zips',
        head: () => ask('head', () => world.stored ?? 'none'),
        put: (_file, _key, { metadata, replaces }) =>
          ask('put', () => {
            if (replaces !== '*' && replaces !== world.stored?.etag) throw new ConditionFailed();
            const { commit, fingerprint, options } = metadata;
            const facts = { commit, fingerprint, options, commitTime: DAWN, lfsPointers: 0 };
            const deliveryId = metadata['delivery-id'];
            const at = (id?: string) => setting.pushes.lastIndexOf(id as Commit);
            const distinct = new Set(setting.pushes).size === setting.pushes.length;
            world.wentBack ||= distinct && at(commit) < at(world.stored?.facts.commit);
            // The ETag is the same for the same bytes.
            const object = { etag: commit, versionId: commit, sha256: '', bytes: 0 };
            world.stored = { ...object, facts: { ...facts, deliveryId } };
            world.told = false;
            return { versionId: commit, sha256: '' };
          }),
      },
      tell: ({ versionId }) => ask('tell', () => void (world.told ||= world.stored?.versionId === versionId)),
      log: () => undefined,
      signal: () => new AbortController().signal,
      settings: {
        keyTemplate: setting.keyTemplate ?? '{ref}.zip',
        split: false,
        paths: setting.paths ?? false,
        optionsDigest: '',
      },
    };
  }
}

interface Action {
  readonly name: string;
  readonly act: () => void | Promise<void>;
}

class Run {
  public readonly world: World = {
    pushed: 0,
    queue: [],
    lost: 0,
    crashes: 0,
    reconciled: false,
    told: false,
    wentBack: false,
  };
  private readonly workers: Worker[];

  public constructor(
    private readonly setting: Setting,
    rule: Rule,
    private readonly filtered: boolean,
  ) {
    this.workers = Array.from({ length: setting.workers }, () => new Worker(this.world, setting, rule));
  }

  public actions(): Action[] {
    const { world, setting, workers } = this;
    const actions: Action[] = [];
    if (world.pushed < setting.pushes.length) {
      actions.push({ name: `push ${setting.pushes[world.pushed]}`, act: () => this.push() });
    } else if (setting.reconcile && !world.reconciled) {
      actions.push({ name: 'reconcile', act: () => this.reconcile() });
    }
    const idle = workers.find(({ message }) => message === undefined);
    if (idle) {
      for (const index of world.queue.keys()) {
        if (index > 0 && !setting.reordered) break;
        const { delivery } = world.queue[index];
        actions.push({ name: `begin ${delivery}`, act: () => idle.begin(world.queue.splice(index, 1)[0]) });
      }
    }
    for (const [index, worker] of workers.entries()) {
      if (worker.waits) actions.push({ name: `${index} goes on`, act: () => worker.advance() });
      if (worker.waits && world.crashes < (setting.crashes ?? 0)) {
        actions.push({ name: `${index} crashes`, act: () => void (world.crashes++, worker.crash()) });
      }
    }
    if (world.lost < (setting.lost ?? 0)) {
      for (const [index, { delivery, after }] of world.queue.entries()) {
        const act = () => void (world.lost++, world.queue.splice(index, 1));
        if (after !== undefined) actions.push({ name: `lose ${delivery}`, act });
      }
    }
    return actions;
  }

  public get key(): string {
    const workers = this.workers.map(({ message, answers }) => JSON.stringify([message, answers]));
    return JSON.stringify([this.world, workers.sort()]);
  }

  /** @param atRest whether nothing can happen any more */
  public problem(atRest: boolean): string | undefined {
    const { ref, stored, told, wentBack } = this.world;
    if (wentBack) return 'an older tip has replaced a newer one';
    if (!atRest) return undefined;
    const holds = stored?.facts.commit;
    const right = this.setting.paths
      ? holds !== undefined && wantedOf(holds) === wantedOf(ref!)
      : holds === ref;
    if (!right) return `the ref is at ${ref}, and ${holds} is stored`;
    return told ? undefined : `${stored?.versionId} was published to nobody`;
  }

  private push(): void {
    const { world, setting } = this;
    const after = setting.pushes[world.pushed++];
    const before = world.ref;
    world.ref = after;
    if (this.filtered && before !== undefined && wantedOf(before) === wantedOf(after)) return;
    world.queue.push({ delivery: `d${world.pushed}`, before, after });
  }

  private reconcile(): void {
    this.world.reconciled = true;
    if (this.world.stored?.facts.commit !== this.world.ref) this.world.queue.push({ delivery: 'reconcile' });
  }
}

/** Every order, or the first that ends wrong. */
async function search(
  setting: Setting,
  { rule = theRule, filtered = false }: { rule?: Rule; filtered?: boolean } = {},
): Promise<{ states: number; problem?: string; path?: string[] }> {
  const seen = new Set<string>();
  // Paths to states that are still to be visited. What a run has done cannot be undone, so each of them is
  // walked anew.
  const open: number[][] = [[]];
  for (let start = open.pop(); start !== undefined; start = open.pop()) {
    const run = new Run(setting, rule, filtered);
    const names: string[] = [];
    const take = async ({ name, act }: Action): Promise<void> => {
      names.push(name);
      await act();
    };
    for (const choice of start) await take(run.actions()[choice]);
    // From there on without a second walk, as long as it leads to something new.
    const path = start;
    for (let key = run.key; !seen.has(key); key = run.key) {
      seen.add(key);
      const actions = run.actions();
      const problem = run.problem(actions.length === 0);
      if (problem !== undefined) return { states: seen.size, problem, path: names };
      const [first, ...others] = actions;
      if (first === undefined) break;
      for (const index of others.keys()) open.push([...path, index + 1]);
      path.push(0);
      await take(first);
    }
  }
  return { states: seen.size };
}

/** Every host doubles the webhook of a push now and then; a redrive doubles it as well. */
describe('what is stored at rest is where the ref stands', () => {
  test.each<[string, Setting]>([
    ['one worker', { pushes: ['a1', 'b1', 'c2'], workers: 1 }],
    [
      'webhooks in any order, and a ref that goes back',
      { pushes: ['a1', 'c2', 'a1'], workers: 1, reordered: true },
    ],
    [
      'only some of the files are wanted',
      { pushes: ['a1', 'b1', 'c2'], workers: 1, reordered: true, paths: true },
    ],
    ['two workers on one ref', { pushes: ['a1', 'c2'], workers: 2, reordered: true }],
    ['two workers, a ref that goes back', { pushes: ['a1', 'c2', 'a1'], workers: 2 }],
    ['two workers, some of the files', { pushes: ['a1', 'b1', 'c2'], workers: 2, paths: true }],
    ['a worker that is killed anywhere', { pushes: ['a1', 'c2'], workers: 1, crashes: 2 }],
    ['two workers, one is killed', { pushes: ['a1', 'c2'], workers: 2, crashes: 1 }],
    [
      'a webhook is lost, and the refs are compared',
      { pushes: ['a1', 'c2', 'd3'], workers: 1, lost: 2, reconcile: true },
    ],
    ['the same with two workers', { pushes: ['a1', 'c2'], workers: 2, lost: 1, reconcile: true }],
  ])('%s', async (_, setting) => {
    const { problem, path, states } = await search(setting);
    expect({ problem, path }).toEqual({ problem: undefined, path: undefined });
    expect(states).toBeGreaterThan(50);
  });

  test('and every stored commit is published, where each has a key of its own', async () => {
    const setting: Setting = { pushes: ['a1'], workers: 2, crashes: 2, keyTemplate: '{commit}.zip' };
    expect(await search(setting)).toEqual({ states: expect.any(Number) });
  });
});

describe('the search finds what is wrong with other rules', () => {
  const FORMER = { rule: formerRule, filtered: true };

  test('the former one: a push that touches nothing wanted overtakes one that does', async () => {
    const { problem, path } = await search({ pushes: ['a1', 'c2', 'e2'], workers: 1, paths: true }, FORMER);
    expect(problem).toMatch(/^the ref is at e2, and (a1|undefined) is stored$/);
    expect(path).toContain('begin d2');
  });

  test.each<[string, Rule, Setting]>([
    ['without the condition, two workers', withoutCondition, { pushes: ['a1', 'c2'], workers: 2 }],
    ['without a second look, two workers', withoutSecondLook, { pushes: ['a1', 'c2'], workers: 2 }],
    [
      'without a last look, two workers and a ref that goes back',
      withoutLastLook,
      { pushes: ['a1', 'c2', 'a1'], workers: 2 },
    ],
    ['a lost webhook that nobody makes up for', theRule, { pushes: ['a1', 'c2'], workers: 1, lost: 1 }],
  ])('%s', async (_, rule, setting) => {
    expect((await search(setting, { rule })).problem).toMatch(/^the ref is at|an older tip/);
  });
});
