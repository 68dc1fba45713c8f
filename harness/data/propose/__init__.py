"""Looks at a folder of images and proposes the file that describes it as a data set.

In order: ``tree`` lists what is there; ``marked`` sets scribbles and points aside; ``pictures`` tells photographs from
masks; ``splits`` finds out which images train and which validate; ``labels`` opens the files of labels; ``classes``
gives names to ids and colours; ``published`` knows the layouts of VOC, COCO and Cityscapes; ``layout`` brings all
together; ``proposal`` writes the YAML.
"""
