/** Small faults of a program, one at a time: what a hand slips into. Made on the syntax tree, so that types and comments are left alone. */
import ts from 'typescript';

export interface Mutant {
  readonly line: number;
  readonly before: string;
  readonly after: string;
  /** Replaces the source from `from` to `to`. */
  readonly from: number;
  readonly to: number;
}

/** What an operator is mistaken for. */
const MISTAKEN: Readonly<Record<string, readonly string[]>> = {
  '===': ['!=='],
  '!==': ['==='],
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '&&': ['||'],
  '||': ['&&'],
  '??': ['&&'],
  '??=': ['='],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  '&': ['|'],
  '|': ['&'],
  '<<': ['>>'],
  '>>': ['<<'],
  '+=': ['-=', '='],
  '-=': ['+=', '='],
  '|=': ['&=', '='],
};

export function mutantsOf(path: string, text: string): Mutant[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const mutants: Mutant[] = [];
  const add = (node: ts.Node, ...afters: string[]): void => {
    const [from, to] = [node.getStart(file), node.getEnd()];
    const line = file.getLineAndCharacterOfPosition(from).line + 1;
    const before = text.slice(from, to);
    for (const after of afters) if (after !== before) mutants.push({ line, before, after, from, to });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node) || isTypeOnly(node)) return;
    mutate(node, add);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return mutants;
}

function isTypeOnly(node: ts.Node): boolean {
  return ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
}

function mutate(node: ts.Node, add: (node: ts.Node, ...afters: string[]) => void): void {
  const text = node.getText();
  if (ts.isBinaryExpression(node)) add(node.operatorToken, ...(MISTAKEN[node.operatorToken.getText()] ?? []));
  else if (ts.isIfStatement(node)) add(node.expression, 'true', 'false');
  else if (ts.isWhileStatement(node)) add(node.expression, 'false');
  else if (ts.isForStatement(node) && node.condition !== undefined) add(node.condition, 'false');
  else if (ts.isConditionalExpression(node)) add(node, node.whenTrue.getText(), node.whenFalse.getText());
  else if (ts.isNumericLiteral(node)) add(node, `(${text} + 1)`, `(${text} - 1)`);
  else if (ts.isStringLiteral(node)) add(node, text === "''" ? "'x'" : "''");
  else if (node.kind === ts.SyntaxKind.TrueKeyword) add(node, 'false');
  else if (node.kind === ts.SyntaxKind.FalseKeyword) add(node, 'true');
  else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) mutateUnary(node, add);
  else if (ts.isExpressionStatement(node)) add(node, ';');
  else if (ts.isReturnStatement(node) && node.expression !== undefined && isBoolean(node))
    add(node.expression, 'true', 'false');
  else if (ts.isContinueStatement(node) || ts.isBreakStatement(node)) add(node, ';');
}

function mutateUnary(
  node: ts.PrefixUnaryExpression | ts.PostfixUnaryExpression,
  add: (node: ts.Node, ...afters: string[]) => void,
): void {
  const operand = node.operand.getText();
  const isPrefix = ts.isPrefixUnaryExpression(node);
  if (node.operator === ts.SyntaxKind.ExclamationToken || node.operator === ts.SyntaxKind.MinusToken)
    add(node, operand);
  if (node.operator === ts.SyntaxKind.PlusPlusToken) add(node, isPrefix ? `--${operand}` : `${operand}--`);
  if (node.operator === ts.SyntaxKind.MinusMinusToken) add(node, isPrefix ? `++${operand}` : `${operand}++`);
}

/** A returned condition, by the declared type of its function. */
function isBoolean(node: ts.ReturnStatement): boolean {
  const owner = ts.findAncestor(node, ts.isFunctionLike);
  return owner?.type?.kind === ts.SyntaxKind.BooleanKeyword;
}
