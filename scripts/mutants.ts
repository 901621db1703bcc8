/** Finds what a mutation check can change in a source file: limits, comparisons and booleans. */
import ts from 'typescript';

export interface Mutant {
  readonly id: number;
  readonly file: string;
  readonly line: number;
  /** The line of the source, to recognize the mutant by when other lines move. */
  readonly source: string;
  readonly from: string;
  readonly to: string;
  readonly start: number;
  readonly end: number;
}

type Place = Omit<Mutant, 'id' | 'file' | 'line' | 'source'> & { readonly node?: ts.Node };

const COMPARISONS: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '==': '!=',
  '!=': '==',
};

/** Far enough from the original that a test of a limit must see it; also where the original is 0 or 1. */
const otherNumber = (text: string): string => String(2 * Number(text.replaceAll('_', '')) + 1);

function placesInTypeScript(file: string, text: string): Place[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const places: Place[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isEnumMember(node)) return;
    const at = { start: node.getStart(source), end: node.getEnd(), node };
    if (ts.isNumericLiteral(node) && !(ts.isPropertyAssignment(node.parent) && node.parent.name === node)) {
      places.push({ ...at, from: node.text, to: otherNumber(node.text) });
    } else if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword) {
      const value = node.kind === ts.SyntaxKind.TrueKeyword;
      places.push({ ...at, from: String(value), to: String(!value) });
    } else if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText(source);
      if (COMPARISONS[operator]) places.push({ ...at, from: operator, to: COMPARISONS[operator] });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return places;
}

/** A scanner of Go is enough: comments, strings and runes are skipped, and nothing else holds these tokens. */
function placesInGo(text: string): Place[] {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|<-|<<=?|>>=?|&\^=?|[<>=!]=|[<>]|\b(?:true|false)\b|[A-Za-z_]\w*|\d[\w.]*/g;
  const places: Place[] = [];
  for (const { 0: found, index } of text.matchAll(token)) {
    const to =
      COMPARISONS[found] ??
      (found === 'true'
        ? 'false'
        : found === 'false'
          ? 'true'
          : /^\d[\d_]*$/.test(found)
            ? otherNumber(found)
            : undefined);
    if (to !== undefined) places.push({ start: index, end: index + found.length, from: found, to });
  }
  return places;
}

export function findMutants(file: string, text: string, firstId = 1): Mutant[] {
  const places = file.endsWith('.go') ? placesInGo(text) : placesInTypeScript(file, text);
  return places.map(({ node: _, ...place }, index) => {
    const line = text.slice(0, place.start).split('\n').length;
    return { ...place, id: firstId + index, file, line, source: text.split('\n')[line - 1].trim() };
  });
}

/** The source with one mutant in place. */
export function applyMutant(text: string, { start, end, from, to }: Mutant): string {
  const original = text.slice(start, end);
  return text.slice(0, start) + (from === original ? to : swapOperator(original, from, to)) + text.slice(end);
}

/** The source with all mutants in it, each chosen by `__mutant(id)`. */
export function withAllMutants(file: string, text: string, mutants: readonly Mutant[]): string {
  const byStart = new Map(mutants.map(mutant => [`${mutant.start}-${mutant.end}-${mutant.from}`, mutant]));
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const print = (node: ts.Node): string => {
    const children: ts.Node[] = [];
    node.forEachChild(child => void children.push(child));
    const start = node.getStart(source);
    const operator = ts.isBinaryExpression(node) ? node.operatorToken.getText(source) : undefined;
    const from = operator ?? (ts.isNumericLiteral(node) ? node.text : node.getText(source));
    const mutant = byStart.get(`${start}-${node.getEnd()}-${from}`);
    if (mutant && ts.isBinaryExpression(node)) {
      const [left, right] = [print(node.left), print(node.right)];
      return `(__mutant(${mutant.id}) ? ${left} ${mutant.to} ${right} : ${left} ${operator} ${right})`;
    }
    if (mutant) return `(__mutant(${mutant.id}) ? ${mutant.to} : ${node.getText(source)})`;
    let printed = '';
    let position = start;
    for (const child of children) {
      const childStart = child.getStart(source);
      if (childStart < position) continue;
      printed += text.slice(position, childStart) + print(child);
      position = child.getEnd();
    }
    return printed + text.slice(position, node.getEnd());
  };
  return text.slice(0, source.getStart(source)) + print(source);
}

function swapOperator(expression: string, from: string, to: string): string {
  const source = ts.createSourceFile('x.ts', `(${expression})`, ts.ScriptTarget.Latest, true);
  const statement = source.statements[0] as ts.ExpressionStatement;
  const binary = (statement.expression as ts.ParenthesizedExpression).expression as ts.BinaryExpression;
  const at = binary.operatorToken.getStart(source) - 1;
  return expression.slice(0, at) + to + expression.slice(at + from.length);
}
