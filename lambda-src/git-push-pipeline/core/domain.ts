import type { BuildInfo } from '../../../src/git-push-pipeline/contract';

/** An id of zeros stands for a ref that is not there, in sha1 and in sha256 repositories. */
export function isZeroId(id: string): boolean {
  return /^0+$/.test(id);
}

export function isObjectId(id: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id);
}

export function buildInfo(facts: {
  commit: string;
  tree: string;
  author: { name: string; email: string; time: number };
  commitTime: number;
}): BuildInfo {
  return {
    commit: facts.commit,
    tree: facts.tree,
    author: { name: facts.author.name, email: facts.author.email },
    authorTime: isoTime(facts.author.time),
    commitTime: isoTime(facts.commitTime),
  };
}

/** ISO 8601 in UTC, without fractions; times that no Date can hold become 1970. */
export function isoTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return (Number.isNaN(date.getTime()) ? new Date(0) : date).toISOString().replace('.000Z', 'Z');
}
