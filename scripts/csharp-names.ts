/**
 * The names that our C# code (examples/csharp, docs/languages.md) uses, looked up in the sources that
 * jsii-pacmak writes for .NET: all that can be checked without a .NET SDK. It says nothing about types, only
 * that no member is misspelled or gone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

const ROOT = path.resolve(__dirname, '..');
/** Names of C# itself, of the CDK, or of the app. */
const FOREIGN =
  'Amazon AWS Alarm Algorithm App CDK CfnOutput CfnOutputProps CloudWatch Construct Constructs CreateAlarm CreateAlarmOptions ' +
  'EvaluationPeriods Greetings GreetingsStack IStackProps Secret SecretsManager Stack Synth Threshold Value';

/** @param sources the folder with the generated C# project */
export function unknownNames(sources: string): string[] {
  const generated = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter(file =>
    file.endsWith('.cs'),
  );
  const known = new Set(FOREIGN.split(' '));
  for (const file of generated) {
    // Declarations only: a name in a comment proves nothing.
    const code = readFileSync(path.join(sources, file), 'utf8').replaceAll(/^\s*\/\/.*$/gm, '');
    for (const [name] of code.matchAll(/\b[A-Z]\w+/g)) known.add(name);
  }
  const page = readFileSync(path.join(ROOT, 'docs/languages.md'), 'utf8');
  const [, printed = ''] = /^```csharp\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const example = readFileSync(path.join(ROOT, 'examples/csharp/Program.cs'), 'utf8');
  const ours = `${printed}\n${example}`.replaceAll(/"[^"]*"/g, '').replaceAll(/\/\/.*$/gm, '');
  return [...new Set([...ours.matchAll(/\b[A-Z]\w+/g)].map(([name]) => name))].filter(
    name => !known.has(name),
  );
}
