export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Quartiles. */
  readonly low: number;
  readonly high: number;
}

const ROW = 34;
const LEFT = 190;
const WIDTH = 420;

/** Horizontal bars with their quartiles. Readable on light and dark pages: the background is its own. */
export function bars(title: string, rows: readonly Bar[]): string {
  const scale = WIDTH / Math.max(...rows.map(({ high }) => high));
  const height = 50 + rows.length * ROW;
  const x = (value: number): string => (LEFT + value * scale).toFixed(1);
  const body = rows.map(({ name, value, low, high }, index) => {
    const y = 40 + index * ROW;
    return [
      `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escape(name)}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${(value * scale).toFixed(1)}" height="22" fill="#3b6ea8"/>`,
      `<path d="M${x(low)} ${y + 11}H${x(high)}" stroke="#111" stroke-width="2"/>`,
      `<text x="${(LEFT + high * scale + 8).toFixed(1)}" y="${y + 15}">${value.toFixed(1)}</text>`,
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
