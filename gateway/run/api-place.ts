/** Where programs of this machine find the API of a gateway, whatever port it has: a file in its data folder, while it runs. */
export const API_URL_FILE = "api.url";
