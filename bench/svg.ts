export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Quartiles. */
  readonly low: number;
  readonly high: number;
  /** Drawn in the library's colour; the others are grey. */
  readonly ours?: boolean;
}

const ROW = 30;
const LEFT = 330;
const WIDTH = 380;

/** Horizontal bars with their quartiles. Readable on light and dark pages: the background is its own. */
export function bars(title: string, rows: readonly Bar[], digits = 1): string {
  const scale = WIDTH / Math.max(...rows.map(({ high }) => high), Number.MIN_VALUE);
  const height = 50 + rows.length * ROW;
  const x = (value: number): string => (LEFT + value * scale).toFixed(1);
  const body = rows.map(({ name, value, low, high, ours }, index) => {
    const y = 40 + index * ROW;
    return [
      `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escape(name)}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${(value * scale).toFixed(1)}" height="20" fill="${ours ? '#1f6f4a' : '#8a939e'}"/>`,
      ...(high > low ? [`<path d="M${x(low)} ${y + 10}H${x(high)}" stroke="#111" stroke-width="2"/>`] : []),
      `<text x="${(LEFT + high * scale + 8).toFixed(1)}" y="${y + 15}">${value.toFixed(digits)}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 80}" height="${height}" font-family="sans-serif" font-size="13" role="img" aria-label="${escape(title)}">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="22" font-size="15">${escape(title)}</text>
${body.join('\n')}
</svg>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`);
}
