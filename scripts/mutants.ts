/** Finds what a mutation check can change in a TypeScript source: limits, times and comparisons. */
import ts from 'typescript';

export type Outcome = 'killed' | 'survived' | 'not reached' | 'not run';

export interface Mutant {
  readonly id: number;
  readonly file: string;
  readonly line: number;
  /** The line of the source, to recognize the mutant by when other lines move. */
  readonly source: string;
  readonly from: string;
  readonly to: string;
}

/** A mutant with its place in the source. */
interface Placed extends Mutant, Place {}

interface Place {
  readonly from: string;
  readonly to: string;
  readonly start: number;
  readonly end: number;
}

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

/** Far enough from the original that a test of a limit must notice it, even where the original is 0 or 1. */
const otherNumber = (text: string): string => String(2 * Number(text.replaceAll('_', '')) + 1);

/** Calls whose numbers are limits or times. */
const LIMITING =
  /^(Duration\.\w+|Size\.\w+|Math\.(min|max)|\w*[sS]etTimeout|setInterval|AbortSignal\.timeout|sleep|pause)$/;
const ORDERED = new Set([
  ts.SyntaxKind.LessThanToken,
  ts.SyntaxKind.LessThanEqualsToken,
  ts.SyntaxKind.GreaterThanToken,
  ts.SyntaxKind.GreaterThanEqualsToken,
]);
const SHIFTS = new Set([
  ts.SyntaxKind.LessThanLessThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken,
]);

/** A number stands for a limit in a declaration, beside `<`, in a field or default of its own, and as a time; an index and a step do not. */
function isLimit(node: ts.Node): boolean {
  const { parent } = node;
  // -1 says that there is none, and so would every number below 0.
  if (ts.isPrefixUnaryExpression(parent) && parent.getText() === '-1') return false;
  if (
    ts.isParenthesizedExpression(parent) ||
    ts.isPrefixUnaryExpression(parent) ||
    ts.isAsExpression(parent)
  ) {
    return isLimit(parent);
  }
  if (ts.isBinaryExpression(parent)) {
    const { kind } = parent.operatorToken;
    if (ORDERED.has(kind)) return node.getText() !== '0'; // to be over or under nothing is the operator's business
    if (SHIFTS.has(kind)) return parent.left === node && isLimit(parent);
    if (kind === ts.SyntaxKind.QuestionQuestionToken) return isLimit(parent) || node.getText() !== '0';
    return (
      [ts.SyntaxKind.AsteriskToken, ts.SyntaxKind.AsteriskAsteriskToken].includes(kind as never) &&
      isLimit(parent)
    );
  }
  if (ts.isVariableDeclaration(parent)) return isConst(parent) && node.getText() !== '0';
  if (ts.isPropertyDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isParameter(parent)) {
    return parent.initializer === node && node.getText() !== '0';
  }
  return (
    ts.isCallExpression(parent) && parent.expression !== node && LIMITING.test(parent.expression.getText())
  );
}

const isConst = ({ parent }: ts.VariableDeclaration): boolean =>
  ts.isVariableDeclarationList(parent) && parent.getText().startsWith('const ');

function placesInTypeScript(file: string, text: string): Place[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const places: Place[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isEnumMember(node)) return;
    const at = { start: node.getStart(source), end: node.getEnd() };
    if (ts.isNumericLiteral(node) && isLimit(node)) {
      places.push({ ...at, from: node.text, to: otherNumber(node.text) });
    } else if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText(source);
      if (COMPARISONS[operator]) places.push({ ...at, from: operator, to: COMPARISONS[operator] });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return places;
}

export function findMutants(file: string, text: string, firstId = 1): Placed[] {
  return placesInTypeScript(file, text).map((place, index) => {
    const line = text.slice(0, place.start).split('\n').length;
    return { ...place, id: firstId + index, file, line, source: text.split('\n')[line - 1].trim() };
  });
}

/** The source with all mutants in it, each chosen by `__mutant(id)`. */
export function withAllMutants(file: string, text: string, mutants: readonly Placed[]): string {
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
