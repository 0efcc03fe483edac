"""An XMP packet with keywords as Lightroom writes them: the names of paths flat too."""

PACKET = """<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF
 xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''
 xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:lr='http://ns.adobe.com/lightroom/1.0/'>
 <dc:subject><rdf:Bag><rdf:li>Dog</rdf:li><rdf:li>Animals</rdf:li><rdf:li>Café</rdf:li></rdf:Bag>
 </dc:subject><lr:hierarchicalSubject><rdf:Bag><rdf:li>Animals|Dog</rdf:li></rdf:Bag>
 </lr:hierarchicalSubject></rdf:Description></rdf:RDF></x:xmpmeta>""".encode()
