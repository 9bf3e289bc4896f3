/** The rules of CONTRIBUTING.md that a parser can check: size, exports, module state, forbidden globals. */
import ts from "typescript";
import { type Source, visit } from "./sources.ts";

const MAX_LINES = 399;
/** "About 60", with room for a table of cases. */
const MAX_FUNCTION_LINES = 80;
/** The one list of exports that makes the device's bundle. */
const BUNDLE_ENTRY = "firmware/entry.ts";

/** Names that the ES2022 library has and a device has not, or that make a run unrepeatable. */
const forbiddenInCore = [
  ["Date", "the time is an input"],
  ["eval", "there is no compiler on a device"],
  ["Function", "there is no compiler on a device"],
  ["WeakRef", "collection of garbage must not be observed"],
  ["FinalizationRegistry", "collection of garbage must not be observed"],
  ["SharedArrayBuffer", "there are no threads"],
  ["Atomics", "there are no threads"],
  ["Intl", "the device has none"],
  ["globalThis", "nothing global is read or written"],
] as const;

export function styleViolations(source: Source): readonly string[] {
  const complaints = [...shape(source), ...declarations(source)];
  if (source.path.startsWith("core/")) complaints.push(...forbiddenGlobals(source));
  return complaints.map((complaint) => `${source.path}: ${complaint}`);
}

function shape({ path, text }: Source): string[] {
  const complaints: string[] = [];
  const lines = text.trimEnd().split("\n").length;
  if (lines > MAX_LINES) complaints.push(`${lines} lines, at most ${MAX_LINES}`);
  if (!/^(#!.*\n)?\/\*\*\s+(\* )?\S/.test(text))
    complaints.push("does not open with /** its sentence */");
  if (/(^|\/)index\.ts$/.test(path)) complaints.push("is an index file");
  return complaints;
}

function declarations({ path, tree }: Source): string[] {
  const complaints: string[] = [];
  for (const statement of tree.statements) {
    if (
      ts.isVariableStatement(statement) &&
      !(statement.declarationList.flags & ts.NodeFlags.Const)
    ) {
      const isType = statement.modifiers?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword);
      const inTest = path.startsWith("test/"); // a test's own fixtures are set up by hooks
      if (!isType && !inTest) complaints.push(`mutable module state: ${statement.getText(tree)}`);
    }
    if (ts.isExportDeclaration(statement) && statement.moduleSpecifier && path !== BUNDLE_ENTRY) {
      complaints.push(`re-exports: ${statement.getText(tree)}`);
    }
  }
  visit(tree, (node) => {
    if (ts.isEnumDeclaration(node)) complaints.push(`enum ${node.name.text}`);
    if (isDefaultExport(node)) complaints.push("has a default export");
    if (isFunctionWithBody(node)) {
      const lines = lineOf(tree, node.end) - lineOf(tree, node.getStart(tree)) + 1;
      const isStory = path.startsWith("test/") && ts.isArrowFunction(node);
      if (lines > MAX_FUNCTION_LINES && !isStory) {
        complaints.push(
          `a function of ${lines} lines at line ${lineOf(tree, node.getStart(tree))}`,
        );
      }
    }
  });
  return complaints;
}

function forbiddenGlobals({ tree }: Source): string[] {
  const complaints: string[] = [];
  visit(tree, (node) => {
    if (ts.isSpreadElement(node) && isArgument(node)) {
      const line = lineOf(tree, node.getStart(tree));
      complaints.push(`spreads a list into arguments at line ${line}: a device's stack is small`);
    }
    if (!ts.isIdentifier(node) || isOnlyAName(node)) return;
    const rule = forbiddenInCore.find(([name]) => name === node.text);
    if (rule) complaints.push(`uses ${rule[0]} at line ${lineOf(tree, node.pos)}: ${rule[1]}`);
    const { parent } = node;
    if (node.text === "Math" && ts.isPropertyAccessExpression(parent)) {
      if (parent.name.text === "random") complaints.push("uses Math.random: randomness is a port");
    }
    if (node.text === "Math" && ts.isElementAccessExpression(parent)) {
      complaints.push("hides which function of Math it uses");
    }
  });
  return complaints;
}

/** Property names, declared names and names in types are not uses of the global. */
function isOnlyAName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isTypeReferenceNode(parent) || ts.isQualifiedName(parent)) return true;
  return "name" in parent && parent.name === node;
}

function isArgument({ parent }: ts.Node): boolean {
  return ts.isCallExpression(parent) || ts.isNewExpression(parent);
}

function isDefaultExport(node: ts.Node): boolean {
  // `declare module "…"`: what another's module has is not for us to choose.
  const { parent } = node;
  if (parent && (ts.isModuleBlock(parent) || ts.isModuleBlock(parent.parent?.parent ?? parent)))
    return false;
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword) ?? false;
}

function isFunctionWithBody(node: ts.Node): boolean {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isArrowFunction(node) ||
    ts.isConstructorDeclaration(node)
  );
}

function lineOf(tree: ts.SourceFile, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line + 1;
}
