import { execFileSync } from 'node:child_process';

/** Where build services say which commit they build. */
const COMMIT_VARIABLES = [
  'GITHUB_SHA',
  'CI_COMMIT_SHA', // GitLab
  'CODEBUILD_RESOLVED_SOURCE_VERSION',
  'BITBUCKET_COMMIT',
  'BUILD_SOURCEVERSION', // Azure
  'CIRCLE_SHA1',
  'GIT_COMMIT', // Jenkins
];

const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/** @returns the commit that is built */
export function gitCommit(directory: string): string {
  for (const name of COMMIT_VARIABLES) {
    const commit = process.env[name];
    if (commit && COMMIT.test(commit)) return commit;
  }
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    throw new Error(
      `There is no commit in ${directory}, and none of ${COMMIT_VARIABLES.join(', ')} names one: give \`release\` yourself`,
    );
  }
}
