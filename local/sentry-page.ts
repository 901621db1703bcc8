/** What the Sentry sink shows to a person. */
import type { Delivery } from './sentry-sink';

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
  h2 { font-size: 1rem; margin: 0; }
  p, pre, ol { margin: .25rem 0; }
  pre { white-space: pre-wrap; background: #f4f4f4; padding: .5rem; }
  small { color: #666; }
</style>
<h1>${deliveries.length === 0 ? 'No crash yet' : `${deliveries.length} ${deliveries.length === 1 ? 'crash' : 'crashes'}`}</h1>
${buttons.length === 0 ? '' : `<p>Crash a function:</p>\n<p>${buttons.map(button).join('')}</p>`}
<p><small>A report arrives when the crashed environment has been reset, within a second. This page looks again every two; <a href="/events">as JSON</a>.</small></p>
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
  const { values = [] } = event.exception ?? {};
  const { type = '', value = '', stacktrace } = values[values.length - 1] ?? {};
  const frames = [...stacktrace?.frames ?? []].reverse().slice(0, 10);
  const facts = Object.entries(event.contexts?.['aws.lambda'] ?? {}).filter(([, fact]) => ['string', 'number', 'boolean'].includes(typeof fact));
  return `<article>
<h2>${escape(type)} <small>${escape(String(event.transaction ?? ''))}, ${escape(event.level ?? 'error')}, ${receivedAt.toISOString()}</small></h2>
<p>${escape(value)}</p>
${frames.length === 0 ? '' : `<ol>${frames.map(({ filename = '?', function: name = '?', lineno = 0 }) => `<li>${escape(name)} <small>${escape(`${filename}:${lineno}`)}</small></li>`).join('')}</ol>`}
<p><small>${facts.map(([name, fact]) => `${escape(name)} ${escape(String(fact))}`).join(', ')}</small></p>
</article>`;
}

/** Whatever a report says, it stays text. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
