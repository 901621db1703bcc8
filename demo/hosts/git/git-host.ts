/**
 * A small git host on 127.0.0.1: one repository over HTTPS and SSH, which sends a signed webhook for every
 * push, as GitHub does.
 */
import { execFile } from 'node:child_process';
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import { selfSignedCertificate } from 'cdk-localhost/self-signed';
import type { System } from 'cdk-localhost/system';
import {
  generateSshKey,
  git,
  GIT_ENV,
  gitText,
  type HttpsGitOptions,
  type Listening,
  serveHttps,
  serveSsh,
  temporaryDirectory,
} from './git-server';
import type { GitHost } from '../../../examples/git-push-pipeline/app';

const REPOSITORY = 'demo.git';
const CERTIFICATE = 'certificate.pem';
const ZERO_ID = '0'.repeat(40);

export interface RefChange {
  readonly ref: string;
  /** None where the ref is new. */
  readonly before?: string;
  readonly after: string;
}

export class LocalGitHost {
  /** @param faults what is wrong with the host over HTTPS, for tests */
  public static async start(
    log: (line: string) => void = () => undefined,
    faults: HttpsGitOptions = {},
  ): Promise<LocalGitHost> {
    const folder = temporaryDirectory();
    const host = new LocalGitHost(folder, log);
    try {
      host.createRepository();
      const onPush = () => {
        host.announce().catch((error: Error) => log(`The webhook failed: ${error.message}`));
      };
      host.https = await serveHttps(folder, host.certificate, {
        login: `git:${host.token}`,
        onPush,
        ...faults,
      });
      host.ssh = await serveSsh(folder, {
        hostKey: host.hostKey.private,
        authorizedKey: host.clientKey.public,
      });
      return host;
    } catch (error) {
      await host.stop();
      throw error;
    }
  }

  private readonly token = crypto.randomBytes(12).toString('hex');
  private readonly webhookSecret = crypto.randomBytes(24).toString('hex');
  private readonly certificate = selfSignedCertificate('localhost');
  private readonly hostKey = generateSshKey();
  private readonly clientKey = generateSshKey();
  private https?: Listening;
  private ssh?: Listening;
  private refs: ReadonlyMap<string, string> = new Map();
  private webhookUrl?: string;

  private constructor(
    private readonly folder: string,
    private readonly log: (line: string) => void,
  ) {}

  /** What the example's stack needs to know about this host. */
  public get settings(): GitHost {
    const ssh = `localhost:${this.ssh!.port}`;
    return {
      https: `localhost:${this.https!.port}`,
      ssh,
      knownHosts: `[localhost]:${this.ssh!.port} ${this.hostKey.public}`,
      certificateAuthority: this.certificate.cert,
    };
  }

  /** What must not show up anywhere. */
  public get secrets(): {
    readonly token: string;
    readonly webhookSecret: string;
    readonly privateKey: string;
  } {
    return { token: this.token, webhookSecret: this.webhookSecret, privateKey: this.clientKey.private };
  }

  /** How many requests this host has had. */
  public get requestCount(): number {
    return this.https!.requests.length + this.ssh!.requests.length;
  }

  /**
   * For git's own command line. The repository that it makes keeps the certificate, for its pushes; a
   * variable that names another one would take precedence, for pushes too.
   */
  public get cloneCommand(): string {
    const first = process.env.GIT_SSL_CAINFO === undefined ? '' : 'unset GIT_SSL_CAINFO; ';
    return `${first}git clone -c http.sslCAInfo=${path.join(this.folder, CERTIFICATE)} ${this.cloneAddress}`;
  }

  /**
   * Puts the values of the secrets where the functions read them.
   *
   * @param webhookUrl where every push is announced from now on
   */
  public connect(system: System, webhookUrl?: string): void {
    const secrets = system.service(SecretsManager);
    secrets.put('WebhookSecret', this.webhookSecret);
    secrets.put('GitToken', this.token);
    secrets.put('GitKey', this.clientKey.private);
    this.webhookUrl = webhookUrl;
  }

  /**
   * Commits files on top of what was pushed to the ref before, and pushes the commit over HTTPS with git
   * itself, as a developer does. Each ref has its own history.
   *
   * @param ref in full
   * @returns the commit's id
   */
  public async push(ref: string, files: Record<string, string>, message: string): Promise<string> {
    const work = this.commit(ref, files, message);
    // Not the synchronous kind: the server that answers runs in this process.
    await promisify(execFile)(
      'git',
      [
        '-c',
        `http.sslCAInfo=${path.join(this.folder, CERTIFICATE)}`,
        'push',
        '--quiet',
        '--force',
        this.cloneAddress,
        `HEAD:${ref}`,
      ],
      { cwd: work, env: GIT_ENV },
    );
    return gitText(work, 'rev-parse', 'HEAD');
  }

  /** Puts first files into the repository, for whoever clones it; no webhook announces them. */
  public fill(ref: string, files: Record<string, string>): void {
    const work = this.commit(ref, files, 'First version');
    git(work, ['push', '--quiet', path.join(this.folder, REPOSITORY), `HEAD:${ref}`]);
    this.refs = new Map([...this.refs, [ref, gitText(work, 'rev-parse', 'HEAD')]]);
  }

  /** Moves a ref to another commit, or removes it, as a developer does by force; no webhook announces it. */
  public async move(ref: string, commit: string | undefined): Promise<void> {
    const change = commit === undefined ? ['-d', ref] : [ref, commit];
    git(path.join(this.folder, REPOSITORY), ['update-ref', ...change]);
  }

  /** Throws away what no ref leads to, as hosts do now and then. */
  public async collectGarbage(): Promise<void> {
    git(path.join(this.folder, REPOSITORY), ['gc', '--quiet', '--prune=now']);
  }

  /** Puts a commit of this many files, all the same, straight into the repository. */
  public async pushWideTree(ref: string, files: number): Promise<string> {
    const bare = path.join(this.folder, REPOSITORY);
    const blob = git(bare, ['hash-object', '-w', '--stdin'], 'the same\n').toString().trim();
    const lines = Array.from(
      { length: files },
      (_, index) => `100644 blob ${blob}\tfile-${String(index).padStart(8, '0')}\n`,
    );
    const tree = git(bare, ['mktree'], lines.join('')).toString().trim();
    const commit = gitText(bare, 'commit-tree', '-m', 'Wide', tree);
    git(bare, ['update-ref', ref, commit]);
    return commit;
  }

  /**
   * In GitHub's form. Branches are announced with the address for HTTPS, tags with that for SSH, so that both
   * are used.
   */
  public async sendWebhook(
    url: string,
    change: RefChange,
    deliveryId: string = crypto.randomUUID(),
  ): Promise<Response> {
    const { https, ssh } = this.settings;
    const address = change.ref.startsWith('refs/tags/')
      ? { ssh_url: `ssh://git@${ssh}/${REPOSITORY}` }
      : { clone_url: `https://${https}/${REPOSITORY}` };
    const body = JSON.stringify({
      before: ZERO_ID,
      ...change,
      deleted: change.after === ZERO_ID,
      commits: [],
      pusher: { name: 'developer' },
      repository: address,
    });
    return fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-github-delivery': deliveryId,
        'x-hub-signature-256': `sha256=${crypto.createHmac('sha256', this.webhookSecret).update(body).digest('hex')}`,
      },
      body,
    });
  }

  public async stop(): Promise<void> {
    await Promise.all([this.https?.close(), this.ssh?.close()]);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  private get cloneAddress(): string {
    return `https://git:${this.token}@${this.settings.https}/${REPOSITORY}`;
  }

  /** @returns the folder of the ref's history, with one more commit */
  private commit(ref: string, files: Record<string, string>, message: string): string {
    const work = path.join(this.folder, 'work', ref);
    if (!fs.existsSync(work)) {
      fs.mkdirSync(work, { recursive: true });
      git(work, ['init', '--quiet']);
    }
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(work, name)), { recursive: true });
      fs.writeFileSync(path.join(work, name), text);
    }
    git(work, ['add', '--all']);
    git(work, ['commit', '--quiet', '--allow-empty', '--message', message]);
    return work;
  }

  private createRepository(): void {
    fs.writeFileSync(path.join(this.folder, CERTIFICATE), this.certificate.cert);
    git(this.folder, ['init', '--quiet', '--bare', '--initial-branch', 'main', REPOSITORY]);
    const repository = path.join(this.folder, REPOSITORY);
    git(repository, ['config', 'http.receivepack', 'true']);
    // As the large hosts are set up; by default git does not leave files out.
    git(repository, ['config', 'uploadpack.allowFilter', 'true']);
  }

  /** Sends a webhook for each ref that is not where it was. */
  private async announce(): Promise<void> {
    const before = this.refs;
    const lines = gitText(
      path.join(this.folder, REPOSITORY),
      'for-each-ref',
      '--format=%(refname) %(objectname)',
    )
      .split('\n')
      .filter(Boolean);
    const after = new Map(lines.map(line => line.split(' ') as [string, string]));
    this.refs = after;
    for (const ref of new Set([...before.keys(), ...after.keys()])) {
      const change = { ref, before: before.get(ref) ?? ZERO_ID, after: after.get(ref) ?? ZERO_ID };
      if (change.before === change.after || this.webhookUrl === undefined) continue;
      const response = await this.sendWebhook(this.webhookUrl, change);
      this.log(`webhook for ${ref}: ${response.status} ${await response.text()}`);
    }
  }
}
