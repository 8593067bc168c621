/** YAML for a command that reads some: a file of its own, so that the others do not load it. In a bundle the package itself has no names to import late. */
export { parse as parseYaml } from 'yaml';
