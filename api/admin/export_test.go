package admin

// Unified is unified, for tests.
var Unified = unified
