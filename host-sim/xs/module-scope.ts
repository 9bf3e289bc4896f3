/** Reads a bundle's syntax tree: which bindings exist at module level, and which of them may be assigned again. */

/** A node of the ESTree standard, with Rollup's positions. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

interface ModuleScope {
  readonly statements: readonly SyntaxNode[];
  /** Where statements may be added. */
  readonly end: number;
}

/** The module level of an ES module, or of an immediately invoked function that wraps one. */
export function moduleScopeOf(program: SyntaxNode): ModuleScope {
  const statements = field(program, "body") as readonly SyntaxNode[];
  const [first] = statements;
  if (statements.length !== 1 || first?.type !== "VariableDeclaration") {
    return { statements, end: program.end };
  }
  const [declarator] = field(first, "declarations") as readonly SyntaxNode[];
  const call = field(declarator as SyntaxNode, "init") as SyntaxNode;
  const body = field(field(call, "callee") as SyntaxNode, "body") as SyntaxNode;
  const inner = field(body, "body") as readonly SyntaxNode[];
  const returned = inner.findLast((statement) => statement.type === "ReturnStatement");
  return { statements: inner, end: returned?.start ?? body.end - 1 };
}

/** Names that the statements declare in their own scope. */
export function declaredNames(statements: readonly SyntaxNode[]): readonly string[] {
  return statements.flatMap((statement) => namesOf(statement));
}

/** Names declared by `let` or `var` at this level. */
export function reassignableNames(statements: readonly SyntaxNode[]): readonly string[] {
  return statements
    .map((statement) => declarationIn(statement))
    .filter((one) => one.type === "VariableDeclaration" && field(one, "kind") !== "const")
    .flatMap((one) => namesOf(one));
}

/** Variables that a function assigns although an outer function, or the module, declares them. */
export function capturedAssignments(program: SyntaxNode): ReadonlySet<string> {
  const captured = new Set<string>();
  walkFunction(program, [], captured);
  return captured;
}

function walkFunction(
  unit: SyntaxNode,
  outer: readonly ReadonlySet<string>[],
  captured: Set<string>,
): void {
  const own = new Set<string>();
  const inner: SyntaxNode[] = [];
  const assigned: string[] = [];
  const visit = (node: SyntaxNode): void => {
    for (const name of declaredBy(node)) own.add(name);
    for (const name of assignedBy(node)) assigned.push(name);
    for (const child of childrenOf(node)) {
      if (isFunction(child)) inner.push(child);
      else visit(child);
    }
  };
  for (const parameter of (field(unit, "params") as readonly SyntaxNode[] | undefined) ?? []) {
    for (const name of namesInPattern(parameter)) own.add(name);
  }
  visit(unit);
  for (const name of assigned) {
    if (!own.has(name) && outer.some((scope) => scope.has(name))) captured.add(name);
  }
  for (const nested of inner) {
    const id = field(nested, "id") as SyntaxNode | null | undefined;
    if (nested.type === "FunctionDeclaration" && id) own.add(field(id, "name") as string);
    walkFunction(nested, [...outer, own], captured);
  }
}

function declaredBy(node: SyntaxNode): readonly string[] {
  if (node.type === "CatchClause") {
    const caught = field(node, "param") as SyntaxNode | null;
    return caught === null ? [] : namesInPattern(caught);
  }
  return node.type === "VariableDeclaration" || node.type === "ClassDeclaration"
    ? namesOf(node)
    : [];
}

function assignedBy(node: SyntaxNode): readonly string[] {
  if (node.type === "AssignmentExpression") return targetsOf(field(node, "left") as SyntaxNode);
  if (node.type === "UpdateExpression") return targetsOf(field(node, "argument") as SyntaxNode);
  if (node.type === "ForOfStatement" || node.type === "ForInStatement") {
    return targetsOf(field(node, "left") as SyntaxNode);
  }
  return [];
}

/** Plain variables on the left of an assignment; properties of objects are none. */
function targetsOf(left: SyntaxNode): readonly string[] {
  return left.type === "VariableDeclaration" ? [] : namesInPattern(left);
}

function isFunction(node: SyntaxNode): boolean {
  return /Function(Declaration|Expression)$/.test(node.type);
}

function childrenOf(node: SyntaxNode): readonly SyntaxNode[] {
  return Object.values(node).flat().filter(isNode);
}

function namesOf(statement: SyntaxNode): readonly string[] {
  const declaration = declarationIn(statement);
  if (declaration.type === "VariableDeclaration") {
    const declarators = field(declaration, "declarations") as readonly SyntaxNode[];
    return declarators.flatMap((one) => namesInPattern(field(one, "id") as SyntaxNode));
  }
  if (declaration.type === "FunctionDeclaration" || declaration.type === "ClassDeclaration") {
    return namesInPattern(field(declaration, "id") as SyntaxNode);
  }
  return [];
}

function declarationIn(statement: SyntaxNode): SyntaxNode {
  if (statement.type !== "ExportNamedDeclaration") return statement;
  return (field(statement, "declaration") as SyntaxNode | null) ?? statement;
}

function namesInPattern(pattern: SyntaxNode): readonly string[] {
  switch (pattern.type) {
    case "Identifier":
      return [field(pattern, "name") as string];
    case "MemberExpression":
      return [];
    case "Property":
      return namesInPattern(field(pattern, "value") as SyntaxNode);
    case "AssignmentPattern":
      return namesInPattern(field(pattern, "left") as SyntaxNode);
    default:
      return childrenOf(pattern).flatMap((child) => namesInPattern(child));
  }
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value;
}

function field(node: SyntaxNode, name: string): unknown {
  return (node as unknown as Readonly<Record<string, unknown>>)[name];
}
