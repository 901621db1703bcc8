/** What the Sentry sink shows to a person. */
import { type Delivery, relationOf, type SentryException } from './sentry-envelope';

/** Something to break by a POST. */
export interface CrashButton {
  readonly title: string;
  readonly url: string;
}

export function sentryPage(deliveries: readonly Delivery[], buttons: readonly CrashButton[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Crashes</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
  button { font: inherit; margin: 0 .5rem .5rem 0; padding: .25rem .75rem; cursor: pointer; }
  article { border-top: 1px solid #ccc; padding: .75rem 0; }
  h2, h3 { font-size: 1rem; margin: 0; }
  p { white-space: pre-line; }
  p, ol { margin: .25rem 0; }
  small { color: #666; }
  pre { background: #f6f6f6; padding: .5rem; overflow-x: auto; }
</style>
<h1>${deliveries.length === 0 ? 'No crash yet' : `${deliveries.length} ${deliveries.length === 1 ? 'crash' : 'crashes'}`}</h1>
${buttons.length === 0 ? '' : `<p>Crash a function:</p>\n<p>${buttons.map(button).join('')}</p>`}
<p><small>A report arrives when the crashed environment has been reset, within a second; the same crash again within a minute is
counted and not sent. This page reloads every two seconds; <a href="/events">as JSON</a>.</small></p>
${[...deliveries].reverse().map(article).join('\n')}
<script>
  for (const button of document.querySelectorAll('button')) {
    button.onclick = () => fetch(button.dataset.url, { method: 'POST', mode: 'no-cors' }).finally(() => setTimeout(() => location.reload(), 700));
  }
  setTimeout(() => location.reload(), 2000);
</script>
`;
}

function button({ title, url }: CrashButton): string {
  return `<button data-url="${escape(url)}">${escape(title)}</button>`;
}

function article({ event, receivedAt }: Delivery): string {
  const [top, ...causes] = [...(event.exception?.values ?? [])].reverse();
  const said = ['environment', 'release']
    .filter(name => event[name] !== undefined)
    .map(name => [name, event[name]]);
  const facts = [...said, ...Object.entries(event.contexts?.['aws.lambda'] ?? {})].filter(([, fact]) =>
    ['string', 'number', 'boolean'].includes(typeof fact),
  );
  const logStream = (event.extra as { lambda?: { log_stream_url?: unknown } } | undefined)?.lambda
    ?.log_stream_url;
  return `<article>
<h2>${escape(top?.type ?? '')} <small>${escape(String(event.transaction ?? ''))}, ${escape(event.level ?? 'error')}, ${receivedAt.toISOString()}</small></h2>
${top ? exception(top) : ''}
${causes.map(cause => `<h3>${relationOf(cause)} ${escape(cause.type)}</h3>\n${exception(cause)}`).join('\n')}
<p><small>${facts.map(([name, fact]) => `${escape(String(name))} ${escape(String(fact))}`).join(', ')}</small></p>
${typeof logStream === 'string' && logStream.startsWith('https://') ? `<p><small><a href="${escape(logStream)}">log stream</a> (on AWS)</small></p>` : ''}
</article>`;
}

/** The frames, innermost first, the function's own in bold; the first of its own with the lines around it. */
function exception({ value = '', stacktrace }: SentryException): string {
  const frames = [...(stacktrace?.frames ?? [])].reverse().slice(0, 10);
  const shown = frames.findIndex(({ in_app: own, context_line: line }) => own && line);
  const list = frames.map((frame, index) => {
    const { filename = '?', function: name = '(anonymous)', lineno, in_app: own } = frame;
    const place = `${escape(name)} <small>${escape(lineno ? `${filename}:${lineno}` : filename)}</small>`;
    return `<li>${own ? `<b>${place}</b>` : place}${index === shown ? lines(frame) : ''}</li>`;
  });
  return `<p>${escape(value)}</p>${list.length === 0 ? '' : `\n<ol>${list.join('')}</ol>`}`;
}

type Frame = NonNullable<SentryException['stacktrace']>['frames'][number];

function lines({ pre_context: pre = [], context_line: line = '', post_context: post = [] }: Frame): string {
  const around = (texts: readonly string[]) => texts.map(text => `${escape(text)}\n`).join('');
  return `<pre>${around(pre)}<mark>${escape(line)}</mark>\n${around(post)}</pre>`;
}

/** Whatever a report contains stays text. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
