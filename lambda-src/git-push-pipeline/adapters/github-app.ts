import * as http from 'node:http';
import { repositoryPath, type RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';
import { appToken } from '../core/github-app';
import { connectTo, DEFAULT_STALL_TIMEOUT_MS, type NetworkOptions, startTls } from '../git/connect';
import { errorText, GitError, safeText } from '../git/errors';
import type { GitCredentials } from '../git/transport';

const MAX_ANSWER_BYTES = 1024 * 1024;
/** A token that is about to expire is not used any more. */
const KEPT_UNTIL_MS = 5 * 60_000;

export interface GitHubApp {
  readonly appId: string;
  readonly privateKey: string;
  /** `https://api.github.com`, or `https://host/api/v3`. */
  readonly apiUrl: string;
}

interface InstallationToken {
  readonly token: string;
  readonly endsAt: number;
}

/**
 * Tokens of installations, each for one repository and to read its contents, kept until shortly before they
 * expire.
 */
export class GitHubAppTokens {
  private readonly kept = new Map<string, InstallationToken>();

  public constructor(
    private readonly network: NetworkOptions,
    private readonly now: () => number,
  ) {}

  public async credentials(
    address: RepositoryAddress,
    app: GitHubApp,
  ): Promise<Extract<GitCredentials, { kind: 'https' }>> {
    const path = repositoryPath(address);
    const id = JSON.stringify([app.apiUrl, app.appId, path.toLowerCase()]);
    let token = this.kept.get(id);
    if (token === undefined || token.endsAt - this.now() < KEPT_UNTIL_MS) {
      token = await this.create(path, app);
      this.kept.set(id, token);
    }
    return { kind: 'https', username: 'x-access-token', password: token.token };
  }

  private async create(path: string, app: GitHubApp): Promise<InstallationToken> {
    const [owner, repository, ...more] = path.split('/');
    if (repository === undefined || more.length > 0) {
      throw new GitError('CONFIGURATION', 'a GitHub App can only open repositories such as owner/name');
    }
    let proof: string;
    try {
      proof = appToken(app.appId, app.privateKey, this.now());
    } catch {
      throw new GitError(
        'KEY',
        "the GitHub App's private key cannot be read: it must be PEM, as GitHub gives it",
      );
    }
    const found = await this.ask(app, proof, 'GET', `/repos/${owner}/${repository}/installation`);
    const granted = await this.ask(
      app,
      proof,
      'POST',
      `/app/installations/${Number(found.id)}/access_tokens`,
      {
        repositories: [repository],
        permissions: { contents: 'read' },
      },
    );
    const endsAt = Date.parse(String(granted.expires_at));
    if (typeof granted.token !== 'string' || granted.token === '' || Number.isNaN(endsAt)) {
      throw new GitError('PROTOCOL', 'GitHub gave no token for the installation of the app');
    }
    return { token: granted.token, endsAt };
  }

  private async ask(
    { apiUrl }: GitHubApp,
    proof: string,
    method: string,
    path: string,
    body?: object,
  ): Promise<Record<string, unknown>> {
    const { status, text } = await this.exchange(new URL(apiUrl + path), method, proof, body);
    if (status === 401) {
      throw new GitError('AUTH', 'GitHub refused the key of the app: is it the key of this app?');
    }
    if (status === 403 || status === 404 || status === 422) {
      throw new GitError(
        'AUTH',
        `the GitHub App is not installed for this repository, or may not read its contents (HTTP ${status})`,
      );
    }
    if (status < 200 || status > 299) {
      throw new GitError(
        'REMOTE',
        `GitHub answered HTTP ${status} to the app`,
        status >= 500 || status === 429,
      );
    }
    try {
      return Object(JSON.parse(text)) as Record<string, unknown>;
    } catch {
      throw new GitError('PROTOCOL', 'GitHub did not answer the app in JSON');
    }
  }

  private async exchange(
    url: URL,
    method: string,
    proof: string,
    body?: object,
  ): Promise<{ status: number; text: string }> {
    const signal = AbortSignal.timeout(this.network.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    try {
      const socket = await connectTo(url.hostname, Number(url.port || 443), this.network, signal);
      const secure = await startTls(socket, url.hostname, this.network, signal);
      return await new Promise((resolve, reject) => {
        const headers = {
          accept: 'application/vnd.github+json',
          authorization: `Bearer ${proof}`,
          'user-agent': 'cdk-serverless-blocks',
          ...(payload !== undefined && { 'content-length': Buffer.byteLength(payload) }),
        };
        // The connection is TLS already, and to a checked address: this only speaks HTTP on it.
        const { host, pathname: path } = url;
        const options = {
          method,
          path,
          headers: { host, ...headers },
          signal,
          createConnection: () => secure,
        };
        const request = http.request(options, response => {
          const parts: Buffer[] = [];
          let size = 0;
          response.on('data', (part: Buffer) => {
            size += part.length;
            if (size > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too long'));
            else parts.push(part);
          });
          response.once('end', () => {
            secure.destroy();
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') });
          });
          response.once('error', reject);
        });
        request.once('error', reject);
        request.end(payload);
      });
    } catch (error) {
      if (error instanceof GitError) throw error;
      throw new GitError(
        'CONNECT',
        `GitHub could not be asked for the app: ${safeText(errorText(error), [proof])}`,
      );
    }
  }
}
