import js from "@eslint/js";
import globals from "globals";

const unused = ["error", { varsIgnorePattern: "^_", argsIgnorePattern: "^_" }];

export default [
  { ignores: ["app/static/", ".venv/"] },
  {
    ...js.configs.recommended,
    files: ["app/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: { ...js.configs.recommended.rules, "no-unused-vars": unused },
  },
];
