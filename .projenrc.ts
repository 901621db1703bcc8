import { awscdk, javascript, JsonFile, TextFile, typescript, vscode as projenVscode } from 'projen';
import { JobPermission } from 'projen/lib/github/workflows-model';
import { ReleaseTrigger } from 'projen/lib/release';
import { TYPES } from './scripts/commits';

/**
 * The lowest CDK of the range. The library is compiled against it, because what it was compiled against is what the packages of the
 * other languages ask for. The tests run with a current one, which is in test/current-cdk/.
 */
const LOWEST_CDK = '2.190.0';

const project = new awscdk.AwsCdkConstructLibrary({
  name: 'cdk-serverless-blocks',
  description:
    'AWS CDK constructs for whole serverless systems, each with its own handler code and least-privilege permissions',
  keywords: [
    'aws-cdk',
    'cdk',
    'constructs',
    'serverless',
    'lambda',
    'dynamodb',
    'api-gateway',
    'sentry',
    'webhook',
  ],
  author: 'The cdk-serverless-blocks authors',
  authorAddress: 'maintainers@cdk-serverless-blocks.dev',
  authorOrganization: true,
  repositoryUrl: 'https://github.com/cdk-serverless-blocks/cdk-serverless-blocks.git',
  license: 'Apache-2.0',
  copyrightOwner: 'The cdk-serverless-blocks authors',
  defaultReleaseBranch: 'main',
  majorVersion: 1,

  projenrcTs: true,
  projenVersion: '0.103.25',
  packageManager: javascript.NodePackageManager.NPM,
  runner: typescript.TypeScriptRunner.tsx(),
  cdkVersion: LOWEST_CDK,
  constructsVersion: '10.5.0', // what projen and current CDKs ask for
  jsiiVersion: '~6.0.16',
  typescriptVersion: '~6.0.3',
  minNodeVersion: '20.19.0',
  workflowNodeVersion: '24',

  publishToPypi: {
    distName: 'cdk-serverless-blocks',
    module: 'cdk_serverless_blocks',
    trustedPublishing: true,
  },
  publishToMaven: {
    javaPackage: 'io.github.cdkserverlessblocks',
    mavenGroupId: 'io.github.cdk-serverless-blocks',
    mavenArtifactId: 'cdk-serverless-blocks',
  },
  publishToGo: { moduleName: 'github.com/cdk-serverless-blocks/cdk-serverless-blocks-go' },
  publishToNuget: {
    dotNetNamespace: 'CdkServerlessBlocks',
    packageId: 'CdkServerlessBlocks',
    trustedPublishing: true,
  },

  disableTsconfig: true, // jsii generates its own; everything else is checked by tsconfig.dev.json
  tsconfigDev: {
    include: [
      'lambda-src/**/*.ts',
      'examples/**/*.ts',
      'packages/*/*.ts',
      'packages/*/src/**/*.ts',
      'packages/*/test/**/*.ts',
      'demo/**/*.ts',
      'bench/**/*.ts',
      'scripts/**/*.ts',
      'scripts/**/*.mts',
      '.projenrc.ts',
      'scripts/**/*.mts',
      'vitest.config.mts',
    ],
    compilerOptions: {
      noEmit: true,
      skipLibCheck: true,
      paths: Object.fromEntries(
        ['aws-cdk-lib', 'constructs', 'cdk-nag'].flatMap(name => [
          [name, [`./test/current-cdk/node_modules/${name}`, `./node_modules/${name}`]],
          [`${name}/*`, [`./test/current-cdk/node_modules/${name}/*`, `./node_modules/${name}/*`]],
        ]),
      ),
    },
  },
  projenrcTsOptions: { projenCodeDir: '.projen' },
  sampleCode: false,
  jest: false,
  typecheckTests: true,
  lambdaAutoDiscover: false,
  edgeLambdaAutoDiscover: false,
  singletonLambdaAutoDiscover: false,
  lambdaExtensionAutoDiscover: false,
  integrationTestAutoDiscover: false,
  eslint: false, // oxlint, below

  devDeps: [
    'vitest@~4.1.12',
    '@vitest/coverage-v8@~4.1.12',
    'esbuild@0.28.2',
    '@types/aws-lambda',
    '@types/node@^20',
    // AWS's own signer and retry rules, in every handler: exact, as test/shared/aws compares them with
    // the SDK's.
    '@smithy/core@3.41.0',
    '@smithy/signature-v4@5.7.5',
    '@smithy/types@4.20.0',
    '@aws-sdk/client-dynamodb',
    '@aws-sdk/client-secrets-manager',
    '@aws-sdk/client-lambda',
    '@aws-sdk/client-s3',
    '@aws-sdk/client-sqs',
    '@aws-sdk/client-eventbridge',
    '@aws-sdk/client-redshift-data',
    '@aws-sdk/client-pinpoint-sms-voice-v2',
    '@aws-sdk/client-customer-profiles', // recipes of examples/webhook-runner
    'cdk-localhost@0.0.0', // packages/local
    'dynalite@4.0.0',
    '@biomejs/biome@2.6.8', // exact: another version may reformat the whole tree
    // Exact, as both are young; test/lint.test.ts shows that each rule fires.
    'oxlint@1.94.0',
    'oxlint-tsgolint@7.0.2007',
    '@typescript-eslint/eslint-plugin@^8', // member-ordering, which oxlint itself lacks; neither of these two runs in eslint
    'eslint-plugin-import@^2.32.0', // order, no-extraneous-dependencies
    // TypeScript's native compiler checks types in a quarter of the time; jsii and typescript-eslint need the
    // other one's API.
    'typescript-native@npm:typescript@7.0.2',
    'ssh2@^1.17.0',
    '@types/ssh2@^1.15.6',
    '@octokit/webhooks-examples@^7.6.1',
  ],

  githubOptions: { mergify: false, pullRequestLint: false },
  pullRequestTemplateContents: [
    '<!-- The title becomes the commit: `type(scope): what`, see "Commits" in CONTRIBUTING.md. -->',
    '',
    '## What was wrong or missing, for whom',
    '',
    '<!-- The case as a user meets it; `Fixes #…` if there is an issue. -->',
    '',
    '## What it does now',
    '',
    '<!-- And what you decided against, if a reader would ask. -->',
    '',
    '## How I know',
    '',
    '- [ ] a test that failed before (name it), and `npm test` passes',
    '- [ ] public members have a docstring with meaning, unit, default and error; the page of the block says it',
    '- [ ] no changed template, permission or default of a deployed stack, or it is marked `!` with `BREAKING CHANGE: what to do`',
    '- [ ] a new dependency: why this one, its licence, its size, who maintains it',
  ],
  depsUpgrade: false,
  workflowBootstrapSteps: [
    {
      // npm test builds and tests the extension
      name: 'Setup Go',
      uses: 'actions/setup-go@v6',
      with: { 'go-version-file': 'lambda-src/crash-reporter-layer/go.mod', cache: false },
    },
  ],
  release: true,
  bumpPackage: 'commit-and-tag-version@^12.7.3', // 13 asks for Node.js 22
  versionrcOptions: {
    types: Object.entries(TYPES).map(([type, section]) =>
      section ? { type, section } : { type, hidden: true },
    ),
  },
  releaseTrigger: ReleaseTrigger.workflowDispatch(), // a person decides when
  npmTrustedPublishing: true,
});

// 1.13.0 lacks its platform packages, and npm ci then refuses the lock file.
project.package.addField('overrides', { 'unrs-resolver': '1.12.2' });
project.package.addField('workspaces', ['packages/*']);

// Another machine, with another Go, makes the same layers of these sources; and nothing in them is known to
// be vulnerable.
project.buildWorkflow?.addPostBuildJob('extension', {
  runsOn: ['ubuntu-latest'],
  permissions: { contents: JobPermission.READ },
  steps: [
    {
      name: 'Checkout',
      uses: 'actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1',
      with: {
        ref: '${{ github.event.pull_request.head.sha }}',
        repository: '${{ github.event.pull_request.head.repo.full_name }}',
        path: 'sources',
      },
    },
    { name: 'Setup another Go', uses: 'actions/setup-go@v6', with: { 'go-version': '1.24', cache: false } },
    { name: 'Setup Node.js', uses: 'actions/setup-node@v7.0.0', with: { 'node-version': '24' } },
    { name: 'Install dependencies', run: 'npm ci', workingDirectory: 'sources' },
    {
      name: 'The layers, byte for byte',
      run: [
        'tar --strip-components=1 -xzf dist/js/*.tgz package/assets/crash-reporter-layer',
        'cd sources && npx projen test:extension-bytes -- ../assets/crash-reporter-layer',
      ].join('\n'),
    },
    { name: 'Known vulnerabilities', run: 'npx projen test:vulnerabilities', workingDirectory: 'sources' },
  ],
});

// Formatting is Biome's alone; oxlint has the rules that need types or look at imports.
new JsonFile(project, 'biome.jsonc', {
  allowComments: true,
  obj: {
    vcs: { enabled: true, clientKind: 'git', useIgnoreFile: true },
    files: { includes: ['**/*.ts', '**/*.mts', '**/*.js'] },
    json: { formatter: { enabled: false } }, // its own file is projen's
    formatter: { enabled: true, lineWidth: 110, indentStyle: 'space', indentWidth: 2 },
    javascript: { formatter: { quoteStyle: 'single', arrowParentheses: 'asNeeded' } },
    linter: {
      enabled: true,
      rules: {
        preset: 'none',
        style: { useNodejsImportProtocol: 'error', useImportType: 'error', useExportType: 'error' },
      },
    },
    assist: { enabled: false },
  },
});
project.addTask('format', { description: 'Formats every file (Biome)', exec: 'biome format --write .' });
/** The layers of docs/architecture.md; test/architecture.test.ts checks the rest. */
const forbid = (files: string[], message: string, ...group: string[]) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ group, message }] }] },
});
// Handlers are bundled, so what they import need not be installed by a user.
const DEPENDENCIES = {
  devDependencies: ['!**/src/**', '**/packages/**'],
  optionalDependencies: false,
  peerDependencies: true,
};
const NOT_IN_HANDLERS = ['aws-cdk-lib', 'aws-cdk-lib/**', 'constructs', 'cdk-localhost/**', '**/demo/**'];
new JsonFile(project, '.oxlintrc.json', {
  marker: false, // its schema knows no such member
  obj: {
    plugins: ['typescript', 'import'],
    jsPlugins: [
      { name: 'members', specifier: '@typescript-eslint/eslint-plugin' },
      { name: 'imports', specifier: 'eslint-plugin-import' },
    ],
    categories: { correctness: 'off' },
    settings: { 'import/resolver': { node: { extensions: ['.ts', '.mts', '.js'] } } },
    ignorePatterns: ['node_modules', '**/*.js', '**/*.d.ts', 'lib', 'assets', 'coverage', 'dist', 'cdk.out'],
    rules: {
      curly: ['error', 'multi-line', 'consistent'],
      'no-bitwise': 'error',
      'no-shadow': 'error',
      'typescript/dot-notation': 'error',
      'typescript/no-floating-promises': 'error',
      'typescript/no-require-imports': 'error',
      'typescript/return-await': 'error',
      'import/no-duplicates': 'error',
      'imports/order': [
        'error',
        { groups: ['builtin', 'external'], alphabetize: { order: 'asc', caseInsensitive: true } },
      ],
      'imports/no-extraneous-dependencies': ['error', DEPENDENCIES],
      'members/member-ordering': [
        'error',
        {
          default: [
            'public-static-field',
            'public-static-method',
            'protected-static-field',
            'protected-static-method',
            'private-static-field',
            'private-static-method',
            'field',
            'constructor',
            'method',
          ],
        },
      ],
    },
    overrides: [
      {
        files: ['test/**'],
        rules: {
          'imports/no-extraneous-dependencies': [
            'error',
            { ...DEPENDENCIES, packageDir: ['.', 'test/current-cdk'] },
          ],
        },
      },
      forbid(
        ['src/**'],
        'A construct knows its handler only through contract.ts.',
        '**/lambda-src/**',
        'cdk-localhost/**',
        '**/demo/**',
        '@aws-sdk/*',
      ),
      forbid(['src/*/contract.ts'], 'contract.ts imports nothing: both sides import it.', '*'),
      forbid(['lambda-src/**'], 'Handlers run in Lambda, without the CDK.', ...NOT_IN_HANDLERS),
      forbid(
        ['lambda-src/*/core/**'],
        'core/ is pure: no SDK, no socket, no file, no adapter.',
        ...NOT_IN_HANDLERS,
        '@aws-sdk/*',
        '**/adapters/**',
        'node:*',
        'node:*/*',
        '!node:buffer',
        '!node:crypto',
        '!node:events',
        '!node:zlib',
      ),
      {
        files: ['lambda-src/*/core/**'],
        rules: {
          'no-restricted-globals': [
            'error',
            {
              name: 'process',
              message: 'index.ts reads the environment; core/ gets what it needs passed in.',
            },
            { name: 'fetch', message: 'core/ has no socket.' },
          ],
        },
      },
      {
        // Checksums and wire formats are arithmetic on bits.
        files: [
          'packages/local/src/aws/s3/checksums.ts',
          'lambda-src/git-push-pipeline/git/*.ts',
          'test/git-push-pipeline/*.ts',
          'lambda-src/shared/address-guard.ts',
          'bench/git-push-repositories.ts',
          'lambda-src/webhook-runner/core/inflate*.ts',
          'lambda-src/webhook-runner/core/gzip-header.ts',
          'test/webhook-runner/inflate.test.ts',
        ],
        rules: { 'no-bitwise': 'off' },
      },
    ],
  },
});
project.addTask('type-check', {
  description: "Checks the types of everything (TypeScript's native compiler)",
  exec: 'node node_modules/typescript-native/bin/tsc --noEmit -p tsconfig.dev.json',
});
project.addTask('lint', {
  description: 'Lint rules (oxlint, with types)',
  exec: 'oxlint --type-aware --deny-warnings --tsconfig tsconfig.dev.json',
  receiveArgs: true,
});

// -- Editors
// -----------------------------------------------------------------------------------------------------------
new TextFile(project, '.editorconfig', {
  lines: [
    '# ~~ Generated by projen. To modify, edit .projenrc.ts and run "npx projen".',
    'root = true',
    '',
    '[*]',
    'charset = utf-8',
    'end_of_line = lf',
    'indent_size = 2',
    'indent_style = space',
    'insert_final_newline = true',
    'max_line_length = 110',
    'trim_trailing_whitespace = true',
    '',
    '[*.{py,java,cs}]',
    'indent_size = 4',
    '',
    '[{*.go,go.mod}]',
    'indent_style = tab',
    'indent_size = 4',
    '',
  ],
});
/** Where a debugged function waits. */
const INSPECT_PORT = 9229;
const EXTENSIONS = [
  'biomejs.biome',
  'oxc.oxc-vscode',
  'editorconfig.editorconfig',
  'golang.go',
  'vitest.explorer',
];
const vscode = project.vscode!;
vscode.extensions.addRecommendations(...EXTENSIONS);
vscode.settings.addSettings({
  'editor.formatOnSave': true,
  'editor.rulers': [110],
  'files.readonlyInclude': { 'API.md': true, '.projen/**': true, 'lib/**': true, 'assets/**': true },
  'git.blame.ignoreRevsFile': '.git-blame-ignore-revs',
  'typescript.tsdk': 'node_modules/typescript/lib',
  'search.exclude': { 'API.md': true, 'package-lock.json': true },
});
vscode.settings.addSettings({ 'editor.defaultFormatter': 'biomejs.biome' }, ['typescript', 'javascript']);
vscode.settings.addSettings({ 'editor.defaultFormatter': 'golang.go' }, ['go']);
const launch = (name: string, program: string, more: object) =>
  vscode.launchConfiguration.addConfiguration({
    name,
    type: 'node',
    request: 'launch',
    program: `\${workspaceFolder}/${program}`,
    skipFiles: ['<node_internals>/**'],
    console: projenVscode.Console.INTEGRATED_TERMINAL,
    env: { TSX_TSCONFIG_PATH: '${workspaceFolder}/tsconfig.dev.json' }, // the CDK that the tests run with
    ...more,
  });
launch('Test: the open file', 'node_modules/vitest/vitest.mjs', { args: ['run', '${file}'] });
launch('Demo: the example system', 'demo/demo.ts', { runtimeArgs: ['--import', 'tsx'] });
// A function is a process of its own: it waits for the debugger, and its bundle carries a source map.
launch('Handler: run the demo with one function waiting for a debugger', 'demo/demo.ts', {
  runtimeArgs: ['--import', 'tsx'],
  args: ['--env-file', '.vscode/debugged-function.json'],
  preLaunchTask: 'bundle with source maps',
});
vscode.launchConfiguration.addConfiguration({
  name: 'Handler: attach to that function',
  type: 'node',
  request: 'attach',
  port: INSPECT_PORT,
  skipFiles: ['<node_internals>/**'],
});
new JsonFile(project, '.vscode/debugged-function.json', {
  obj: { 'Birthdays-PutHandler': { NODE_OPTIONS: `--inspect-brk=127.0.0.1:${INSPECT_PORT}` } },
  marker: false,
});
new JsonFile(project, '.vscode/tasks.json', {
  allowComments: false,
  obj: {
    version: '2.0.0',
    tasks: [
      {
        label: 'bundle with source maps',
        type: 'shell',
        command: 'npx tsx scripts/bundle.ts --without-go --source-maps',
        problemMatcher: [],
      },
      {
        label: 'npm test',
        type: 'npm',
        script: 'test',
        group: { kind: 'test', isDefault: true },
        problemMatcher: '$tsc',
      },
    ],
  },
});

// Node.js of the workflows and Go of the extension's module; no Docker inside, as nothing here needs it.
// Not projen's component: it writes extensions and the version of a feature where the specification no longer
// has them.
new JsonFile(project, '.devcontainer.json', {
  allowComments: false,
  obj: {
    name: project.name,
    image: 'mcr.microsoft.com/devcontainers/typescript-node:24-bookworm',
    features: { 'ghcr.io/devcontainers/features/go:1': {} },
    postCreateCommand: 'npm ci',
    forwardPorts: [3000, 3001, 3002, 3003, 3004],
    customizations: { vscode: { extensions: EXTENSIONS } },
  },
});

// -- Tasks
// ------------------------------------------------------------------------------------------------------------
const { tasks } = project;
const bundle = project.addTask('bundle', {
  description: 'Bundle the handlers into assets/',
  exec: 'tsx scripts/bundle.ts',
});
project.preCompileTask.spawn(bundle);

project.compileTask.reset('jsii --silence-warnings=reserved-word');
project.compileTask.env('JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION', '20');

// `npm test` is the whole truth: what it does not cover is not checked. scripts/test.ts runs these side by
// side.
project.addTask('current-cdk', {
  description: 'Installs the CDK that the tests run with, unless it is there',
  exec: 'tsx scripts/current-cdk.mts',
});
project.addTask('layout', {
  description: 'Checks that every file is formatted (Biome)',
  exec: 'biome check .',
});
project.addTask('test:commits', {
  description: 'Checks the messages of the commits since the last release',
  exec: 'tsx scripts/check-commits.ts',
});
project.addTask('test:api', {
  description: 'Compares the API with that of the last release: what breaks users must be named in a footer',
  exec: 'tsx scripts/check-api.ts',
});
project.addTask('test:extension', {
  description: 'Vets, tests and briefly fuzzes the extension',
  exec: 'tsx scripts/test-extension.ts',
});
project.addTask('test:library', {
  description: 'The tests of the library, with coverage (after bundle and compile)',
  exec: 'vitest run --coverage --reporter=default --reporter=./scripts/count-reporter.mts',
  env: { TEST_PART: 'library' },
  receiveArgs: true,
});
project.addTask('test:systems', {
  description:
    'The tests that run whole systems or other programs, and those of the runner (after bundle and compile)',
  exec: 'vitest run --reporter=default --reporter=./scripts/count-reporter.mts',
  env: { TEST_PART: 'systems' },
  receiveArgs: true,
});
project.addTask('test:lowest-constructs', {
  description: 'The construct tests with the lowest CDK of the range',
  exec: 'vitest run --reporter=default --reporter=./scripts/count-reporter.mts',
  env: { CDK: 'lowest' },
});
project.addTask('test:generated', {
  description: 'Checks that generated files are up to date and all snippets of the pages compile',
  steps: [{ exec: 'tsx scripts/prop-types.ts --check' }, { exec: 'tsx scripts/check-generated.ts' }],
});
project.testTask.reset('tsx scripts/test.ts', { receiveArgs: true });

/** What starts other programs (functions, git, npm, the Go extension) or goes over all blocks. */
const NOT_UNIT = [
  'test/integration/**',
  'test/scripts/**',
  'test/*.test.ts',
  'test/crash-reporter-layer/{layer,publish-layer,scenarios,transport}.test.ts',
  'test/git-push-pipeline/{fetch-and-zip,hostile-packs,pack-fuzz,partial-fetch,wiring,zip-writer}.test.ts',
  'test/webhook-runner/{mapping-module,recipe-functions,wiring}.test.ts',
  'packages/local/test/{aws-cli,event-bridge,event-source-mappings,extensions,lambda,package,rest-apis}.test.ts',
];
const unitTests = `--exclude '${NOT_UNIT.join("' --exclude '")}'`;
project.addTask('test:unit', {
  description: 'The tests that start no other program',
  exec: `vitest run ${unitTests} --reporter=default --reporter=./scripts/count-reporter.mts`,
  receiveArgs: true,
});
project.addTask('test:fast', {
  description: 'Type check and unit tests',
  exec: 'tsx scripts/test.ts --fast',
  receiveArgs: true,
});
project.addTask('test:watch', {
  description: 'Reruns the unit tests for whatever is saved',
  exec: `vitest watch ${unitTests}`,
  receiveArgs: true,
});
project.addTask('test:steady', {
  description:
    'Ten runs of all tests in shuffled order, while two busy loops hold the processors (-- --runs 3)',
  steps: [
    { spawn: bundle.name },
    { spawn: 'compile' },
    { exec: 'tsx scripts/test-steady.ts', receiveArgs: true },
  ],
});
project.addTask('test:load', {
  description: 'UniqueCodeTable under 20,000 requests, 100 at a time',
  steps: [
    { spawn: bundle.name },
    { exec: 'vitest run test/integration/unique-code-table.test.ts -t "under load"' },
  ],
  env: { LOAD_REQUESTS: '20000', LOAD_CODE_LENGTH: '4' },
});

project.addTask('test:dynamodb-local', {
  description:
    'Every verb of UniqueCodeTable, and the races of every two of them, against a DynamoDB Local that is already running (DYNAMODB_ENDPOINT names it)',
  exec: 'DYNAMODB_ENDPOINT="${DYNAMODB_ENDPOINT:-http://127.0.0.1:8000}" vitest run test/unique-code-table/verbs.test.ts',
  receiveArgs: true,
});

project.addTask('changelog', {
  description:
    'Writes the unreleased part of CHANGELOG.md from the commits, and a part for each release that has none',
  exec: 'tsx scripts/changelog.ts',
});
project.addTask('test:mutation', {
  description:
    'Changes one limit, time or comparison at a time, in TypeScript and Go; fails when one survives that has no reason (coverage/mutation.md)',
  steps: [{ exec: 'node --import tsx scripts/mutate.mts', receiveArgs: true }],
});
project.addTask('test:node24', {
  description: 'The integration tests with the functions on Node.js 24, as deployed',
  steps: [
    { spawn: bundle.name },
    {
      exec: 'npm exec --yes --package=node@24 -- sh -c \'LOCAL_NODE="$(command -v node)" && export LOCAL_NODE && "$LOCAL_NODE" --version && vitest run test/integration\'',
    },
  ],
});
project.addTask('test:lowest-cdk', {
  description:
    'The construct tests with the lowest CDK of the range; then the packed library, every block in an empty app with it',
  steps: [
    { spawn: bundle.name },
    { exec: 'CDK=lowest vitest run' },
    { exec: 'tsx scripts/try-package.ts --lowest-cdk' },
  ],
});
project.addTask('test:package', {
  description: 'Packs the library and synthesizes every block in an empty app, with only node on the PATH',
  exec: 'tsx scripts/try-package.ts',
});
project.addTask('test:languages', {
  description:
    'One app of all blocks in each language whose toolchain is here, at the lowest and the newest CDK: equal templates (-- python java)',
  steps: [
    { spawn: bundle.name },
    { spawn: project.compileTask.name },
    { exec: 'tsx scripts/try-languages.ts', receiveArgs: true },
  ],
  env: { JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION: '20' },
});

project.addTask('test:prepare', {
  description:
    'Bundles the handlers and compiles the programs of demo/, so that nothing is built while tests read it',
  steps: [
    { exec: 'tsx scripts/bundle.ts' },
    ...['demo', 'invoke', 'push-code', 'push-doctor'].map(program => ({
      exec: `node demo/start.mjs ${program} --help`,
    })),
  ],
});
project.addTask('prop-types', {
  description: 'Writes src/shared/prop-types.ts from the types of the library (after compile)',
  exec: 'tsx scripts/prop-types.ts',
});
project.addTask('pages', {
  description:
    "Writes the tables of props, metrics and alarms on the blocks' pages and docs/props.md (after compile)",
  exec: 'vitest run test/pages.test.ts',
  env: { WRITE_PAGES: '1' },
});
project.addTask('permissions', {
  description: 'Writes docs/permissions.md from the templates of test/blocks.ts',
  exec: 'vitest run test/permissions.test.ts',
  env: { WRITE_PERMISSIONS: '1' },
});
project.addTask('test:aws-cli', {
  description:
    'The lines for the AWS CLI in the README, with the CLI itself (needs `aws`; -- --record keeps what it sends for the unit test)',
  steps: [{ exec: 'tsx packages/local/test/aws-cli.ts', receiveArgs: true }],
});
project.addTask('test:openssh', {
  description:
    "Fetches by SSH from OpenSSH's own server (needs sshd; SSHD names one that is not on the PATH)",
  steps: [{ exec: 'tsx test/git-push-pipeline/openssh.ts', receiveArgs: true }],
});
project.addTask('bench:git-push-pipeline', {
  description:
    'Fetch and zip beside git, and the time of the accept function (writes bench/results/git-push-pipeline.{json,md})',
  steps: [
    { spawn: bundle.name },
    { exec: 'tsx bench/git-push-pipeline.ts --out bench/results', receiveArgs: true },
  ],
});
project.addTask('test:pack-fuzz', {
  description:
    'Reads 20,000 random packs and compares each with `git index-pack` (PACK_FUZZ_PACKS, PACK_FUZZ_SEED)',
  env: { PACK_FUZZ_PACKS: '20000' },
  steps: [{ exec: 'vitest run test/git-push-pipeline/pack-fuzz.test.ts', receiveArgs: true }],
});
project.addTask('test:random-faults', {
  description: 'Runs of WebhookRunner under 3,000 random combinations of faults (FAULT_SEEDS, FAULT_SEED)',
  env: { FAULT_SEEDS: '3000' },
  steps: [{ exec: 'vitest run test/webhook-runner/random-faults.test.ts', receiveArgs: true }],
});
project.addTask('test:extension-fuzz', {
  description:
    'Fuzzes the extension with telemetry posts until one breaks it, by default for ten minutes (-- --time 1h)',
  steps: [{ exec: 'tsx scripts/test-extension.ts --fuzz', receiveArgs: true }],
});
project.addTask('test:extension-bytes', {
  description:
    'Builds the layers anew and compares them, byte for byte, with those in assets/ or in a folder (-- FOLDER)',
  steps: [{ exec: 'tsx scripts/check-extension.ts', receiveArgs: true }],
});
project.addTask('test:vulnerabilities', {
  description:
    "govulncheck over the extension's binaries (-- --db file:///… for a copy of the database of vulnerabilities)",
  steps: [{ exec: 'tsx scripts/check-extension.ts --vulnerabilities', receiveArgs: true }],
});
project.addTask('test:sentry-schema', {
  description:
    "Validates every event of the extension's tests against Sentry's schema (PYTHON names one that has the package bugsink)",
  steps: [{ exec: 'tsx scripts/check-sentry-schema.ts' }],
});
project.addTask('test:runtimes', {
  description:
    "Crashes of Python and Node.js functions with AWS's own runtime clients (see PYTHON and AWS_LAMBDA_RIC in CONTRIBUTING.md)",
  steps: [{ spawn: bundle.name }, { exec: 'tsx test/crash-reporter-layer/runtimes.ts' }],
});
project.addTask('bench:crash-reporter-layer', {
  description:
    'What the extension costs a function: bytes, start, memory, CPU, time added (writes bench/results/crash-reporter-layer.{json,md})',
  steps: [{ spawn: bundle.name }, { exec: 'tsx bench/crash-reporter-layer.ts', receiveArgs: true }],
});
project.addTask('bench:webhook-runner', {
  description: 'CPU and memory of the webhook runner beside a Python loop that does the same work',
  exec: 'tsx bench/webhook-runner.ts',
  receiveArgs: true,
});
project.addTask('bench', {
  description: 'All benchmarks or the named ones, and docs/benchmarks.md from their results',
  steps: [{ spawn: bundle.name }, { exec: 'tsx bench/suite.ts', receiveArgs: true }],
});

project.addTask('release:rehearsal', {
  description:
    'What the workflow `release` does, up to the publishing steps, in a clone (-- --without-tests)',
  steps: [{ exec: 'tsx scripts/release-rehearsal.ts', receiveArgs: true }],
});
project.addTask('pictures', {
  description: 'Draws the pictures of the pages, docs/pictures/*.svg',
  exec: 'tsx scripts/pictures.ts',
});
project.addTask('third-party', {
  description:
    'Writes NOTICE and the bill of materials (sbom.cdx.json) of what the bundles and the extension contain',
  exec: 'tsx scripts/third-party.ts',
});
project.addTask('test:page', {
  description:
    'The page of the demo in a real browser (CHROMIUM_PATH, or one that it installs; -- --pictures keeps the pictures)',
  steps: [
    { exec: 'tsx scripts/bundle.ts --without-go' },
    { exec: 'tsx test/demo/page-browser.ts', receiveArgs: true },
  ],
  env: { TSX_TSCONFIG_PATH: 'tsconfig.dev.json' }, // the current CDK
});
project.addTask('test:engines', {
  description:
    "Makes the test calls of the local runner to other engines, deploys the examples there, sends crashes to Bugsink, runs AWS's runtime clients, and writes docs/engines.md (needs Go, Python and a C++ compiler; -- --accept keeps what differs)",
  steps: [{ exec: 'tsx scripts/bundle.ts' }, { exec: 'tsx scripts/test-engines.ts', receiveArgs: true }],
  env: { TSX_TSCONFIG_PATH: 'tsconfig.dev.json' }, // the current CDK
});
project.addTask('bench:localhost', {
  description:
    'How long the demo, and `up` of a synthesized app, take until they are ready: wall and CPU time',
  steps: [{ exec: 'node demo/start.mjs demo --help' }, { exec: 'tsx bench/localhost.ts' }],
});
project.addTask('build:localhost', {
  description: 'Builds cdk-localhost, the package that runs any CDK app, into packages/local/dist',
  exec: 'tsx scripts/build-localhost.ts',
});

// jsii-rosetta translates what has changed since, and writes the same bytes when nothing has.
const docgen = tasks.tryFind('docgen')!;
docgen.exec('jsii-rosetta extract --strict --cache .rosetta.tabl.json.gz --compress-cache --trim-cache');

// Not jsii-pacmak's own compilation: that is with the lowest CDK of the other languages.
const packageGo = tasks.tryFind('package:go')!;
packageGo.reset('jsii-pacmak -v --code-only --target go');
packageGo.exec('tsx scripts/go-module.ts dist/go');

// The workflow's job for npm publishes every tarball that this leaves in dist/js: cdk-localhost goes out with the library.
const packageJs = tasks.tryFind('package:js')!;
packageJs.exec('tsx scripts/build-localhost.ts dist/js');

project.packageTask.reset();
// The bill of materials names the version of the release; a release must leave the tree as it was.
project.packageTask.exec('tsx scripts/third-party.ts');
// The jobs for the languages unpack the one tarball in dist/js, so the other one lies beside it, to look at.
project.packageTask.exec('jsii-pacmak -v --target js');
project.packageTask.exec('tsx scripts/build-localhost.ts dist/localhost');
project.packageTask.exec('git checkout -- NOTICE sbom.cdx.json');

// Plain npm scripts that end in `exec node`, so that a signal to npm reaches the process that has to clean
// up. Without the `--`
// Node.js 20 takes a later `--env-file` for its own.
project.setScript('prepare', 'tsx scripts/current-cdk.mts'); // so `npm ci` is all that a clone needs
project.setScript('demo', 'exec node -- demo/start.mjs demo');
project.setScript('invoke', 'exec node -- demo/start.mjs invoke');
project.setScript('push-code', 'exec node -- demo/start.mjs push-code');
project.setScript('push-doctor', 'exec node -- demo/start.mjs push-doctor');
project.setScript('deploy', 'tsx scripts/bundle.ts && tsx scripts/deploy.ts deploy');
project.setScript('destroy', 'tsx scripts/deploy.ts destroy');
project.setScript('new-block', 'tsx scripts/new-block.ts');
project.setScript(
  'check-deployment',
  'exec node --import tsx -- packages/local/src/cli/bin.ts check-deployment',
);
project.setScript('publish-layer', 'tsx scripts/bundle.ts && tsx scripts/publish-layer.ts');
project.setScript(
  'webhook-run',
  'tsx scripts/bundle.ts && exec env TSX_TSCONFIG_PATH=tsconfig.dev.json node --import tsx -- demo/webhook-run.ts',
);

// The whole history, as the commits since the last release are checked.
project.github?.tryFindWorkflow('build')?.file?.addOverride('jobs.build.steps.0.with.fetch-depth', 0);

// -- Files
// ------------------------------------------------------------------------------------------------------------
project.gitignore.removePatterns('tsconfig.json');
project.gitignore.exclude(
  '/tsconfig.json',
  '/assets/',
  '/coverage/',
  '/packages/*/dist/',
  'cdk.out',
  '.jsii.tabl.json',
);
project.addBins({ 'webhook-runner-replay': 'bin/webhook-runner-replay.mjs' });
project.npmignore!.removePatterns('/src/');
project.npmignore!.exclude(
  '/src/**/*.*',
  '/lambda-src/',
  '/packages/',
  '/demo/',
  '/bench/',
  '/examples/**/*.*',
  '/scripts/',
  '/docs/**/*.*',
  '/coverage/',
  '/.ci/',
  '/.devcontainer.json',
  '/.editorconfig',
  '/vitest.config.mts',
  '/CONTRIBUTING.md',
  '/biome.jsonc',
  '/.oxlintrc.json',
  '/.git-blame-ignore-revs',
  'cdk.out',
  '/.npmrc',
  '.jsii.tabl.json',
  '/.rosetta.tabl.json.gz',
);
project.npmignore!.include('/assets/');
// What a user reads or starts from: each block's page, sample events, the type and template of a
// mapping.
project.npmignore!.include(
  '/src/*/README.md',
  '/examples/*/events/*.json',
  '/examples/webhook-runner/map.d.ts',
  '/examples/webhook-runner/map.js',
  '/docs/runbook.md',
);

project.synth();
