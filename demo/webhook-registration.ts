import {
  effectivePort,
  repositoryPath,
  type RepositoryAddress,
} from '../src/git-push-pipeline/repository-address';

export const HOST_KINDS = [
  'github',
  'gitlab',
  'bitbucket',
  'bitbucket-data-center',
  'gitea',
  'forgejo',
  'gogs',
  'azure',
] as const;
export type HostKind = (typeof HOST_KINDS)[number];

/** For hosts that are known by name; of others, only their owner knows the kind. */
export function kindOf({ host }: RepositoryAddress): HostKind | undefined {
  if (host === 'dev.azure.com' || host.endsWith('.visualstudio.com')) return 'azure';
  return (
    {
      'github.com': 'github',
      'gitlab.com': 'gitlab',
      'bitbucket.org': 'bitbucket',
      'codeberg.org': 'forgejo',
    } as const
  )[host];
}

/**
 * The line that registers the webhook at the host. The secret and the token stay in the variables
 * `WEBHOOK_SECRET` and `GIT_HOST_TOKEN`, so that neither is shown, nor kept in the shell's history.
 *
 * @param url of the webhook
 */
export function registrationLine(kind: HostKind, address: RepositoryAddress, url: string): string {
  const path = repositoryPath(address);
  const parts = path.split('/').map(part => encodeURIComponent(part));
  const port = address.scheme === 'https' && effectivePort(address) !== 443 ? `:${address.port}` : '';
  const site = `https://${address.host}${port}`;
  switch (kind) {
    case 'github': {
      const where = address.host === 'github.com' ? '' : ` --hostname ${address.host}${port}`;
      return lines(
        `gh api${where} repos/${path}/hooks -f name=web -F active=true -f 'events[]=push'`,
        `-f 'config[url]=${url}' -f 'config[content_type]=json' -f "config[secret]=$WEBHOOK_SECRET"`,
      );
    }
    case 'gitlab':
      return lines(
        `curl --fail-with-body -H "PRIVATE-TOKEN: $GIT_HOST_TOKEN" ${site}/api/v4/projects/${encodeURIComponent(path)}/hooks`,
        `--data-urlencode 'url=${url}' --data-urlencode "token=$WEBHOOK_SECRET"`,
        '-d push_events=true -d tag_push_events=true -d enable_ssl_verification=true',
      );
    case 'bitbucket':
      return post(`https://api.bitbucket.org/2.0/repositories/${parts.join('/')}/hooks`, 'Bearer', {
        description: 'GitPushPipeline',
        url,
        active: true,
        secret: SECRET,
        events: ['repo:push'],
      });
    case 'bitbucket-data-center': {
      // Clone addresses by HTTPS begin with `scm`, those by SSH do not.
      const [project, repository] = parts[0] === 'scm' ? parts.slice(1) : parts;
      return post(`${site}/rest/api/latest/projects/${project}/repos/${repository}/webhooks`, 'Bearer', {
        name: 'GitPushPipeline',
        url,
        active: true,
        events: ['repo:refs_changed'],
        configuration: { secret: SECRET },
      });
    }
    case 'gitea':
    case 'forgejo':
    case 'gogs':
      return post(`${site}/api/v1/repos/${parts.join('/')}/hooks`, 'token', {
        type: kind,
        active: true,
        events: ['push'],
        config: { url, content_type: 'json', secret: SECRET },
      });
    case 'azure':
      return lines(
        `curl --fail-with-body -u ":$GIT_HOST_TOKEN" -H 'content-type: application/json'`,
        `'${site}/${parts[0]}/_apis/hooks/subscriptions?api-version=7.1' -d ${json({
          publisherId: 'tfs',
          eventType: 'git.push',
          consumerId: 'webHooks',
          consumerActionId: 'httpRequest',
          publisherInputs: { projectId: 'PROJECT_ID' },
          consumerInputs: { url, basicAuthUsername: 'push', basicAuthPassword: SECRET },
        })}`,
      );
  }
}

const SECRET = '$WEBHOOK_SECRET';

function post(api: string, scheme: 'Bearer' | 'token', body: object): string {
  return lines(
    `curl --fail-with-body -H "authorization: ${scheme} $GIT_HOST_TOKEN" -H 'content-type: application/json' ${api}`,
    `-d ${json(body)}`,
  );
}

/**
 * In double quotes, so that the shell puts the secret in; it must not have a quotation mark or a backslash.
 */
function json(body: object): string {
  return `"${JSON.stringify(body).replace(/["\\`]/g, '\\$&')}"`;
}

function lines(...parts: string[]): string {
  return parts.join(' \\\n  ');
}
