// Run by Node, as a user's programs are: asks for an address with fetch, or, given the proxy's address, through a tunnel
// of its own, which says what this Node trusts where it does not read HTTPS_PROXY. Prints one JSON object.
import http from 'node:http'
import tls from 'node:tls'

const [url, host, port, authorization] = process.argv.slice(2)
const { hostname, pathname } = new URL(url)
const answer = { client: 'node', version: process.versions.node, body: null, untrusted: false, said: '' }
const certificates = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|SIGNATURE_FAILURE/

function tunnelled() {
  return new Promise((resolve, reject) => {
    const headers = authorization ? { 'Proxy-Authorization': authorization } : {}
    const request = http.request({ host, port, method: 'CONNECT', path: `${hostname}:443`, headers, agent: false })
    request.on('error', reject)
    request.on('connect', (response, socket) => {
      if (response.statusCode !== 200) return reject(new Error(`CONNECT: ${response.statusCode}`))
      const secure = tls.connect({ socket, servername: hostname }, () => {
        secure.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`)
      })
      let text = ''
      secure.on('error', reject)
      secure.on('data', (data) => {
        text += data
        if (text.trimEnd().endsWith('}')) resolve(text.slice(text.indexOf('\r\n\r\n') + 4))
      })
      secure.on('close', () => reject(new Error('closed')))
    })
    request.end()
  })
}

try {
  answer.body = host ? await tunnelled() : await (await fetch(url)).text()
} catch (error) {
  const cause = error.cause ?? error
  answer.said = `${cause.code ?? ''} ${cause.message ?? cause}`.trim().slice(-300)
  answer.untrusted = certificates.test(cause.code ?? '')
}
process.stdout.write(JSON.stringify(answer))
process.exit(0)
